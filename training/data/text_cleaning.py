"""Clean corpus reports: remove de-identification marks and everything that cannot be known from the images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from report_gen.auditing import (
    has_deidentification_mark,
    mentions_prior,
    mentions_side,
    names_located_sides,
    remove_places,
    remove_prior,
    remove_sides,
)
from report_gen.labeling import chest_xray, findings_in_state
from report_gen.records import (
    DESCRIBING_SECTIONS,
    FindingSchema,
    FindingState,
    Section,
    SectionName,
    Sentence,
    split_sentences,
)

from .concepts import KnownConcepts

_UNKNOWABLE = re.compile(
    r"\b(?:fax|telephon|phone|discuss|notif|communicat|dictat|Dr\.|physician|emergency department"  # communication
    r"|lateral (?:view|film|projection|image|radiograph|decubitus)|(?:on|in) (?:the )?lateral\b"  # another view
    r"|\d+(?:\.\d+)? ?(?:x ?\d|mm|cm|millimet|centimet))",  # a size
    re.IGNORECASE,
)
# "No effusion. heart size is normal." and "No effusion.Heart size is normal.": such sentences would not be split off.
_NO_SPACE = re.compile(r"(?<=[a-z]{4})[.](?=[A-Z][a-z])")
_LOWER_CASE_START = re.compile(r"(?<=[a-z]{4}[.] )[a-z](?=[a-z])")
_ENUMERATION = re.compile(r"(?:(?<=\s)|^)\d{1,2}[.)]\s+(?=[A-Z])")


class Sides(StrEnum):
    """Treatment of the sides in a sentence."""

    KEEP = "keep"
    LOCATED = "located"
    """Only sides of a finding that the sentence states stay: "small left effusion", not "the left lung is clear"."""
    DROP = "drop"


@dataclass(frozen=True, kw_only=True)
class CleaningRules:
    """What is removed from a report in addition to what no draft can know."""

    drop_priors: bool
    """Remove the comparison with an earlier study from a sentence ("stable cardiomegaly")."""
    sides: Sides = Sides.KEEP
    """Which sides are removed: the word ("left effusion"), or its place as well ("opacity in the left base")."""
    concepts: KnownConcepts | None = None
    """Remove sentences about other concepts, if given."""
    schema: FindingSchema = field(default_factory=chest_xray)
    """The findings."""


def clean_report(example: Mapping[str, str], rules: CleaningRules) -> tuple[Section, ...]:
    """Clean the report of a corpus example; a section without sentences is left out.

    Removed sentences: those with a de-identification mark, about communication ("discussed with Dr. ..."), about the
    lateral view, or with a size in millimeters or centimeters, because a draft could only invent them. A sentence that
    cannot stand without the words that `rules` removes is removed.

    Args:
        example: A row of a corpus, with findings and impression.
        rules: What else is removed.
    """
    texts = {
        name: _LOWER_CASE_START.sub(_upper, _NO_SPACE.sub(". ", example[name.lower()])) for name in DESCRIBING_SECTIONS
    }
    sections = (Section(name, tuple(split_sentences(_ENUMERATION.sub("", text)))) for name, text in texts.items())
    return clean_sections(sections, rules)


def clean_sections(sections: Iterable[Section], rules: CleaningRules) -> tuple[Section, ...]:
    """Clean the sentences of a report; see `clean_report`."""
    return _change_sentences(sections, partial(clean_sentence, rules=rules))


def without_places(sections: Iterable[Section], schema: FindingSchema) -> tuple[Section, ...]:
    """Return a cleaned report that places no finding. Sections without sentences are left out.

    Args:
        sections: Sections of one report.
        schema: The findings.
    """
    return _change_sentences(sections, lambda sentence: remove_places(sentence, schema))


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


def clean_sentence(sentence: str, rules: CleaningRules) -> str:
    """Return the cleaned sentence, or an empty string if it must not be used."""
    if (
        has_deidentification_mark(sentence)
        or _UNKNOWABLE.search(sentence)
        or not re.search(r"[a-z]{3}", sentence, re.I)
    ):
        return ""
    if rules.drop_priors and mentions_prior(sentence):
        sentence = remove_prior(sentence)
    if rules.concepts is not None:
        sentence = rules.concepts.reduce(sentence)
    if rules.sides is Sides.DROP or (rules.sides is Sides.LOCATED and not names_located_sides(sentence, rules.schema)):
        sentence = _drop_sides(sentence, rules.schema)
    return re.sub(r"[,.;\s]*([.?!])[.\s]*$", r"\1", sentence)


def _change_sentences(sections: Iterable[Section], change: Callable[[str], str]) -> tuple[Section, ...]:
    """Change each sentence and drop empty and repeated sentences, and sections without sentences."""
    changed = (
        (section.name, dict.fromkeys(change(sentence.text) for sentence in section.sentences)) for section in sections
    )
    kept = (Section(name, tuple(Sentence(text) for text in texts if text)) for name, texts in changed)
    return tuple(section for section in kept if section.sentences)


def _upper(letter: re.Match[str]) -> str:
    return letter[0].upper()


def _drop_sides(sentence: str, schema: FindingSchema) -> str:
    return remove_sides(sentence, schema) if mentions_side(sentence) else sentence
