"""Clean corpus reports: remove de-identification marks and everything that cannot be known from the images."""

from __future__ import annotations

import re
from collections.abc import Mapping

from report_gen.auditing import has_deidentification_mark, mentions_prior, mentions_side
from report_gen.labeling import findings_in_state
from report_gen.records import FindingSchema, FindingState, Section, SectionName, Sentence, split_sentences

from .side_removal import remove_sides

_NOUN_FOLLOWS = (
    r"(?=\s+(?!(?:is|are|was|were|has|have|and|or|than|with|of|in|on|at|to|where|which"
    r"|greater|more|larger|worse|increase|decrease|change|improvement)\b)[a-z])"
)
_CHANGE = re.compile(
    rf"(?<!is )(?<!are )(?<!remain )(?<!remains )(?<!appears )\b"
    rf"(?:stable|unchanged|persistent|residual|redemonstrated|interval|new|similar)(?: appearing)?{_NOUN_FOLLOWS}",
    re.IGNORECASE,
)
_UNKNOWABLE = re.compile(
    r"\b(?:fax|telephon|phone|discuss|notif|communicat|dictat|Dr\.|physician|emergency department"  # communication
    r"|lateral (?:view|film|projection|image|radiograph|decubitus)|(?:on|in) (?:the )?lateral\b"  # another view
    r"|\d+(?:\.\d+)? ?(?:x ?\d|mm|cm|millimet|centimet))",  # a size
    re.IGNORECASE,
)
_ENUMERATION = re.compile(r"(?:(?<=\s)|^)\d{1,2}[.)]\s+(?=[A-Z])")


def clean_report(
    example: Mapping[str, str], *, drop_priors: bool, drop_sides: bool, schema: FindingSchema | None = None
) -> tuple[Section, ...]:
    """Clean the report of a corpus example; a section without sentences is left out.

    Removed sentences: those with a de-identification mark, about communication ("discussed with Dr. ..."), about the
    lateral view, or with a size in millimeters or centimeters, because a draft could only invent them. `drop_priors`
    removes the comparison from a sentence ("stable cardiomegaly"), `drop_sides` the side ("left effusion") or the place
    that it belongs to ("opacity in the left base"); a sentence that cannot stand without the words is removed.

    Args:
        example: A row of a corpus, with findings and impression.
        drop_priors: Whether comparisons with an earlier study are removed.
        drop_sides: Whether sides are removed.
        schema: The findings; those of chest radiographs if not given.
    """
    sections = []
    for name in SectionName:
        text = _ENUMERATION.sub("", example[name.lower()])
        cleaned = [
            clean_sentence(s.text, drop_priors=drop_priors, drop_sides=drop_sides, schema=schema)
            for s in split_sentences(text)
        ]
        if kept := tuple(Sentence(text) for text in dict.fromkeys(cleaned) if text):
            sections.append(Section(name, kept))
    return tuple(sections)


def drop_contradictions(sections: tuple[Section, ...], schema: FindingSchema | None = None) -> tuple[Section, ...]:
    """Remove sentences that deny, even implicitly ("lungs are clear"), a finding that the report states elsewhere.

    Returns an empty report if the impression states a finding that the findings section no longer describes.

    Args:
        sections: Sections of one report.
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


def clean_sentence(sentence: str, *, drop_priors: bool, drop_sides: bool, schema: FindingSchema | None = None) -> str:
    """Return the cleaned sentence, or an empty string if it must not be used.

    Args:
        sentence: One sentence of a report.
        drop_priors: Whether comparisons with an earlier study are removed.
        drop_sides: Whether sides are removed.
        schema: The findings; those of chest radiographs if not given.
    """
    if (
        has_deidentification_mark(sentence)
        or _UNKNOWABLE.search(sentence)
        or not re.search(r"[a-z]{3}", sentence, re.I)
    ):
        return ""
    if drop_priors and mentions_prior(sentence):
        sentence = _tidy(_CHANGE.sub("", sentence))
        if mentions_prior(sentence):
            return ""
    if drop_sides and mentions_side(sentence):
        sentence = _tidy(remove_sides(sentence, schema))
        if not sentence:
            return ""
    return re.sub(r"[,.;\s]*([.?!])[.\s]*$", r"\1", sentence)


def _tidy(sentence: str) -> str:
    """Correct spaces, articles and the first letter of a sentence from which words were removed."""
    text = re.sub(r"\s+([,.;])", r"\1", " ".join(sentence.split()))
    text = re.sub(r"\b([Aa])n? (?=(?!uni|use)[aeiouAEIO])", r"\1n ", text)
    text = re.sub(r"\b([Aa])n (?=[^aeiouAEIO\s])", r"\1 ", text)
    return text[:1].upper() + text[1:]
