"""Corpus texts to what a decoder may learn from: no de-identification marks, and nothing that no draft can know."""

from __future__ import annotations

import re
from collections.abc import Mapping

from report_gen.auditing import has_deidentification_mark, mentions_prior, mentions_side
from report_gen.labeling.labeler import findings_in_state
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.report import Section, SectionName, Sentence, split_sentences

_NOUN_FOLLOWS = (
    r"(?=\s+(?!(?:is|are|was|were|has|have|and|or|than|with|of|in|on|at|to|where|which"
    r"|greater|more|larger|worse|increase|decrease|change|improvement)\b)[a-z])"
)
_SIDE = re.compile(
    rf"\b(?:(?:on|to|in|at) the (?:left|right)(?: side)?(?=\s*[.,;]|$)"
    rf"|bilaterally|bi-?(?=basilar|basal|apical|hilar)"
    rf"|(?:left|right|bilateral|unilateral)(?:[- ]sided)?{_NOUN_FOLLOWS})",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    rf"(?<!is )(?<!are )(?<!remain )(?<!remains )(?<!appears )\b"
    rf"(?:stable|unchanged|persistent|residual|redemonstrated|interval|new|similar)(?: appearing)?{_NOUN_FOLLOWS}",
    re.IGNORECASE,
)
_UNKNOWABLE = re.compile(
    r"\b(?:fax|telephon|phone|discuss|notif|communicat|dictat|Dr\.|physician|emergency department"  # errands
    r"|lateral (?:view|film|projection|image|radiograph|decubitus)|(?:on|in) (?:the )?lateral\b"  # another view
    r"|\d+(?:\.\d+)? ?(?:x ?\d|mm|cm|millimet|centimet))",  # a size
    re.IGNORECASE,
)
_ENUMERATION = re.compile(r"(?:(?<=\s)|^)\d{1,2}[.)]\s+(?=[A-Z])")


def clean_report(example: Mapping[str, str], *, drop_priors: bool, drop_sides: bool) -> tuple[Section, ...]:
    """Sections of a corpus example; a section of which no sentence is left is missing.

    Sentences go that bear a de-identification mark, report an errand ("discussed with Dr. ..."), speak of the lateral
    view or give a size in millimetres: drafts would only invent them. With `drop_priors` a comparison is taken out of
    its sentence ("stable cardiomegaly"), and with `drop_sides` a side ("left effusion"); where the sentence does not
    stand without the word, it goes too.
    """
    sections = []
    for name in SectionName:
        text = _ENUMERATION.sub("", example[name.lower()])
        cleaned = [
            clean_sentence(s.text, drop_priors=drop_priors, drop_sides=drop_sides) for s in split_sentences(text)
        ]
        if kept := tuple(Sentence(text) for text in dict.fromkeys(cleaned) if text):
            sections.append(Section(name, kept))
    return tuple(sections)


def drop_contradictions(sections: tuple[Section, ...], schema: FindingSchema | None = None) -> tuple[Section, ...]:
    """The sections without sentences that deny, if only by "lungs are clear", what the report states elsewhere.

    Nothing is left of a report whose impression states a finding that its findings no longer describe.

    Args:
        sections: Of one report.
        schema: The findings; those of chest radiographs if not given.
    """
    stated = findings_in_state(" ".join(section.text for section in sections), FindingState.PRESENT, schema)
    kept = tuple(
        Section(section.name, sentences)
        for section in sections
        if (
            sentences := tuple(
                s for s in section.sentences if not findings_in_state(s.text, FindingState.ABSENT, schema) & stated
            )
        )
    )
    findings = " ".join(section.text for section in kept if section.name is SectionName.FINDINGS)
    described = not findings or findings_in_state(findings, FindingState.PRESENT, schema) >= stated
    return kept if described else ()


def clean_sentence(sentence: str, *, drop_priors: bool, drop_sides: bool) -> str:
    """The sentence as it may be taught, or nothing."""
    if (
        has_deidentification_mark(sentence)
        or _UNKNOWABLE.search(sentence)
        or not re.search(r"[a-z]{3}", sentence, re.I)
    ):
        return ""
    if drop_priors and mentions_prior(sentence):
        sentence = _without(_CHANGE, sentence)
        if mentions_prior(sentence):
            return ""
    if drop_sides and mentions_side(sentence):
        sentence = _without(_SIDE, sentence)
        if mentions_side(sentence):
            return ""
    return re.sub(r"[,.;\s]*([.?!])[.\s]*$", r"\1", sentence)


def _without(words: re.Pattern[str], sentence: str) -> str:
    """ "Small left pleural effusion." -> "Small pleural effusion.", with the article put right."""
    text = re.sub(r"\s+([,.;])", r"\1", " ".join(words.sub("", sentence).split()))
    text = re.sub(r"\b([Aa])n? (?=(?!uni|use)[aeiou])", r"\1n ", text)
    text = re.sub(r"\b([Aa])n (?=[^aeiou\s])", r"\1 ", text)
    return text[:1].upper() + text[1:]
