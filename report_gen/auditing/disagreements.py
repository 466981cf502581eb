"""Find findings to which a report gives contradictory degrees or sides, and those that only one section states.

A report states a finding in the sections FINDINGS and IMPRESSION with a state, a degree (size or severity) and a side.
Contradictory states are found by `contradictions.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, islice

from report_gen.auditing.contradictions import may_be_same_side, word_stem
from report_gen.labeling import FindingLabeler, GradedMention, chest_xray, find_graded_mentions, finding_labeler
from report_gen.records import DESCRIBING_SECTIONS, FindingSchema, FindingState, Section, SectionName


class DisagreementKind(StrEnum):
    """Property of a finding about which sentences or sections disagree."""

    DEGREE = "degree"
    """Two sentences give a finding degrees that exclude each other: a small and a large effusion."""
    SIDE = "side"
    """FINDINGS names one side of a finding, and IMPRESSION the other one or both."""


@dataclass(frozen=True)
class Disagreement:
    """A finding to which a report gives contradictory degrees or sides."""

    kind: DisagreementKind
    finding: str
    sentences: tuple[str, ...] = ()
    """The first two sentences that disagree about the degree; empty for a side."""


def find_disagreements(sections: Sequence[Section], schema: FindingSchema | None = None) -> tuple[Disagreement, ...]:
    """Return the findings to which a report gives contradictory degrees or sides.

    Degrees are compared in all pairs of sentences, within and between sections, unless the sentences concern opposite
    sides or different zones. The vocabulary marks findings of which a patient can have several, such as nodules, as
    `several_entities`; their degrees are compared only if both sentences use the same word. Sides are compared between
    FINDINGS and IMPRESSION. An IMPRESSION that names fewer sides than FINDINGS, or none, is no disagreement.

    Args:
        sections: The sections of the report.
        schema: The findings; those of chest radiographs if not given.

    Returns:
        First the disagreements about degrees, then those about sides; at most one of each kind per finding.
    """
    labeler = finding_labeler(schema or chest_xray())
    return (*_disagreements_of_degrees(sections, labeler), *_disagreements_of_sides(sections, labeler))


def findings_in_one_section(
    sections: Sequence[Section], schema: FindingSchema | None = None
) -> dict[SectionName, tuple[str, ...]]:
    """Return the abnormalities that only one of FINDINGS and IMPRESSION states, by this section.

    In IMPRESSION, present and uncertain abnormalities count as stated; in FINDINGS, only present ones, because an
    IMPRESSION may leave out what is uncertain. The other section does not mention the abnormality, or denies it.

    This is no contradiction. Radiologists leave minor findings out of the IMPRESSION, and name causes only there. Of
    3,331 Indiana reports with both sections, 21% contain such an abnormality, and 0.4% a disagreement as in
    `find_disagreements`.

    Args:
        sections: The sections of the report.
        schema: The findings; those of chest radiographs if not given.

    Returns:
        Names of the abnormalities by section, for both sections; empty if the report does not have both.
    """
    texts = _describing_texts(sections)
    if texts is None:
        return {}
    labeler = finding_labeler(schema or chest_xray())
    described, concluded = map(labeler.label, texts)
    names = labeler.schema.abnormalities
    return {
        SectionName.FINDINGS: tuple(
            name for name in names if described[name] is FindingState.PRESENT and not concluded[name].is_stated
        ),
        SectionName.IMPRESSION: tuple(
            name for name in names if concluded[name].is_stated and not described[name].is_stated
        ),
    }


def _describing_texts(sections: Sequence[Section]) -> tuple[str, str] | None:
    """Return the texts of FINDINGS and IMPRESSION; None if the report does not have both."""
    texts = {section.name: section.text for section in sections if section.name in DESCRIBING_SECTIONS}
    both = SectionName.FINDINGS in texts and SectionName.IMPRESSION in texts
    return (texts[SectionName.FINDINGS], texts[SectionName.IMPRESSION]) if both else None


def _disagreements_of_degrees(sections: Sequence[Section], labeler: FindingLabeler) -> Iterator[Disagreement]:
    """Yield the first two sentences about each finding whose degrees exclude each other."""
    graded: dict[str, list[tuple[str, GradedMention]]] = {}
    for section in sections:
        for sentence in section.sentences:
            for one in find_graded_mentions(sentence.text, labeler):
                if one.degrees and one.mention.state.is_stated:
                    graded.setdefault(one.mention.finding, []).append((sentence.text, one))
    for finding, mentions in graded.items():
        pairs = (pair for pair in combinations(mentions, 2) if _exclude_each_other(*pair, labeler=labeler))
        for (first, _), (second, _) in islice(pairs, 1):
            yield Disagreement(DisagreementKind.DEGREE, finding, (first, second))


def _exclude_each_other(
    first: tuple[str, GradedMention], second: tuple[str, GradedMention], *, labeler: FindingLabeler
) -> bool:
    """Return whether the degrees of two mentions of a finding, each with its sentence, contradict each other."""
    (sentence, one), (other_sentence, other) = first, second
    if sentence == other_sentence or one.degrees & other.degrees:
        return False
    zones, other_zones = one.mention.location.zones, other.mention.location.zones
    if not may_be_same_side(one.mention, other.mention) or (zones and other_zones and not zones & other_zones):
        return False
    return one.mention.finding not in labeler.vocabulary.several_entities or (
        word_stem(sentence, one.mention) == word_stem(other_sentence, other.mention)
    )


def _disagreements_of_sides(sections: Sequence[Section], labeler: FindingLabeler) -> Iterator[Disagreement]:
    """Yield the findings for which IMPRESSION names a side that FINDINGS does not."""
    texts = _describing_texts(sections)
    if texts is None:
        return
    described, concluded = map(labeler.locate, texts)
    for name, location in concluded.items():
        sides = described[name].sides if name in described else frozenset()
        if sides and location.sides - sides:
            yield Disagreement(DisagreementKind.SIDE, name)
