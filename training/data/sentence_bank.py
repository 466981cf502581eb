"""Collect the sentences of a corpus by section, finding and state, to make new reports from them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from report_gen.labeling import label_findings, locate_findings
from report_gen.records import (
    FindingLocation,
    FindingSchema,
    FindingState,
    Section,
    SectionName,
    Sentence,
    Side,
    format_report,
)

Report = tuple[Section, ...]

_DEGREES = {
    word: degree
    for degree, words in {
        "small": "small tiny trace mild mildly minimal minimally slight slightly subtle borderline",
        "moderate": "moderate moderately",
        "large": "large severe severely marked markedly extensive",
    }.items()
    for word in words.split()
}
"""Words for the degree of a finding."""
_WORD = re.compile(r"[a-z]+")
_TRIES = 30
"""Random sentences that are tried before a finding is left out."""


@dataclass(frozen=True)
class BankSentence:
    """A sentence, and what it says about the findings that it mentions."""

    sentence: Sentence
    states: Mapping[str, FindingState]
    locations: Mapping[str, FindingLocation]
    """Location of each present or uncertain finding."""
    degrees: frozenset[str]
    """Degrees that the sentence names: small, moderate, large."""
    absent: frozenset[str]
    """Absent findings without the one that follows from the others ("no finding")."""

    @classmethod
    def read(cls, sentence: Sentence, schema: FindingSchema) -> BankSentence:
        states = {
            name: state
            for name, state in label_findings(sentence.text, schema).items()
            if state is not FindingState.NOT_MENTIONED
        }
        absent = frozenset(
            name for name, state in states.items() if state is FindingState.ABSENT and name != schema.normal
        )
        degrees = (_DEGREES[word] for word in _WORD.findall(sentence.text.lower()) if word in _DEGREES)
        locations = locate_findings(sentence.text, schema)
        return cls(sentence, states, locations, frozenset(degrees), absent)

    def agrees_with(self, other: BankSentence) -> bool:
        """Return whether two sentences of one report can be about the same findings.

        They disagree if one denies what the other states, if they place one finding on different sides or in different
        zones, or give it different degrees.
        """
        if not (self.absent.isdisjoint(other.locations) and other.absent.isdisjoint(self.locations)):
            return False
        shared = self.locations.keys() & other.locations.keys()
        if shared and self.degrees and other.degrees and self.degrees.isdisjoint(other.degrees):
            return False
        return all(_may_be_same(self.locations[name], other.locations[name]) for name in shared)


class SentenceBank:
    """The sentences of a corpus by section, finding and state.

    Args:
        reports: Reports of the corpus. They are read one at a time and need not fit into memory.
        schema: The findings that are labeled in the sentences.
    """

    def __init__(self, reports: Iterable[Report], schema: FindingSchema) -> None:
        self._schema = schema
        self._read: dict[Sentence, BankSentence] = {}
        self._by_state: dict[tuple[SectionName, str, FindingState], list[BankSentence]] = defaultdict(list)
        self._denials: dict[frozenset[str], list[BankSentence]] = defaultdict(list)
        self._normals: list[BankSentence] = []
        for report in reports:
            for section in report:
                for sentence in section.sentences:
                    self._add(section.name, sentence)

    def _add(self, section: SectionName, sentence: Sentence) -> None:
        read = self.read(sentence)
        for name, state in read.states.items():
            self._by_state[section, name, state].append(read)
        if section is SectionName.FINDINGS and set(read.states.values()) == {FindingState.ABSENT}:
            self._denials[read.absent].append(read)
        if section is SectionName.IMPRESSION and self.calls_normal(read):
            self._normals.append(read)

    def read(self, sentence: Sentence) -> BankSentence:
        """Return what a sentence says."""
        if sentence not in self._read:
            self._read[sentence] = BankSentence.read(sentence, self._schema)
        return self._read[sentence]

    def calls_normal(self, sentence: BankSentence) -> bool:
        """Return whether a sentence says that the study is normal, and denies no finding by name."""
        return sentence.states.get(self._schema.normal) is FindingState.PRESENT and not sentence.absent

    def frequent_findings(self, minimum: int) -> list[str]:
        """Return the findings that at least `minimum` sentences of the findings sections state as present."""
        return [
            name
            for name in self._schema.stated
            if len(self._by_state[SectionName.FINDINGS, name, FindingState.PRESENT]) >= minimum
        ]

    def draw(
        self,
        section: SectionName,
        wanted: Mapping[str, FindingState],
        known: Sequence[BankSentence],
        random: np.random.Generator,
    ) -> Iterator[BankSentence]:
        """Yield a sentence for each wanted finding that agrees with the others and with the `known` sentences.

        In the impression it states no other finding.
        """
        drawn = list(known)
        for name, state in wanted.items():
            for _ in range(_TRIES):
                one = _choose(self._by_state[section, name, state], random)
                if one is None:
                    break
                says_more = section is SectionName.IMPRESSION and not one.locations.keys() <= wanted.keys()
                if not says_more and all(one.agrees_with(other) for other in drawn):
                    drawn.append(one)
                    yield one
                    break

    def draw_denial(self, denied: frozenset[str], random: np.random.Generator) -> BankSentence | None:
        """Return a sentence that denies exactly these findings, or None."""
        return _choose(self._denials.get(denied, []), random)

    def draw_normal(self, random: np.random.Generator) -> BankSentence | None:
        """Return a sentence of an impression that calls the study normal, or None."""
        return _choose(self._normals, random)

    def is_consistent(self, report: Report) -> bool:
        """Return whether all sentences of a report agree about the places and degrees of findings."""
        sentences = [self.read(sentence) for section in report for sentence in section.sentences]
        return all(one.agrees_with(other) for one, other in combinations(sentences, 2))

    def labels(self, report: Report) -> dict[str, FindingState]:
        """Return the state of each finding in a report."""
        return label_findings(format_report(report), self._schema)


def _choose(sentences: Sequence[BankSentence], random: np.random.Generator) -> BankSentence | None:
    return sentences[int(random.integers(len(sentences)))] if sentences else None


def _may_be_same(one: FindingLocation, other: FindingLocation) -> bool:
    sides = {one.side, other.side} - {Side.UNKNOWN}
    zones_agree = not (one.zones and other.zones) or not one.zones.isdisjoint(other.zones)
    return len(sides) < 2 and zones_agree
