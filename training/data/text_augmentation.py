"""Make new reports from the sentences of a corpus, so that the decoder learns to follow the findings it is given.

Most reports of a corpus are normal, and the abnormal ones show few combinations of findings. Here a report gets
sentences about other findings from other reports, and loses the sentences that they contradict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen.auditing import find_contradictions
from report_gen.labeling import label_findings
from report_gen.records import FindingSchema, FindingState, Section, SectionName, Sentence, format_report

_MIN_SENTENCES = 4
"""A finding with fewer sentences is not used: the decoder would memorize them."""
_UNCERTAIN = 0.15
"""Probability that a finding is added as uncertain."""
_COUNTS = (0.4, 0.35, 0.25)
"""Probabilities of adding one, two or three findings."""
_TRIES = 4

Report = tuple[Section, ...]


@dataclass(frozen=True)
class _Phrase:
    """A sentence, and the states of the findings that it mentions."""

    sentence: Sentence
    states: Mapping[str, FindingState]
    present: frozenset[str]
    absent: frozenset[str]
    """Findings without the one that follows from the others ("no finding")."""

    @classmethod
    def read(cls, sentence: Sentence, schema: FindingSchema) -> _Phrase:
        states = {
            name: state
            for name, state in label_findings(sentence.text, schema).items()
            if state is not FindingState.NOT_MENTIONED
        }
        present, absent = (
            frozenset(name for name, found in states.items() if found is state and name != schema.normal)
            for state in (FindingState.PRESENT, FindingState.ABSENT)
        )
        return cls(sentence, states, present, absent)


def augment_texts(
    reports: Sequence[Report], count: int, random: np.random.Generator, schema: FindingSchema
) -> Iterator[Report]:
    """Yield `count` new reports with findings and impression; fewer if no sentences fit. None contradicts itself.

    The reports are read one at a time and need not fit into memory.

    Args:
        reports: Training reports.
        count: Number of new reports.
        random: Chooses findings and sentences.
        schema: The findings that are labeled in the sentences.
    """
    bank = _SentenceBank(reports, schema)
    bases = [index for index, report in enumerate(reports) if {section.name for section in report} == set(SectionName)]
    for _ in range(count if bases and schema.findings else 0):
        augmented = bank.augment(reports[bases[random.integers(len(bases))]], random)
        if augmented is not None:
            yield augmented


class _SentenceBank:
    """The sentences of a corpus by section, finding and state."""

    def __init__(self, reports: Sequence[Report], schema: FindingSchema) -> None:
        self._schema = schema
        self._phrases: dict[Sentence, _Phrase] = {}
        self._by_state: dict[tuple[SectionName, str, FindingState], list[_Phrase]] = defaultdict(list)
        self._denials: dict[frozenset[str], list[_Phrase]] = defaultdict(list)
        for report in reports:
            for section in report:
                for sentence in section.sentences:
                    self._add(section.name, sentence)
        self._names = [
            name
            for name in schema.stated
            if len(self._by_state[SectionName.FINDINGS, name, FindingState.PRESENT]) >= _MIN_SENTENCES
        ]

    def _add(self, section: SectionName, sentence: Sentence) -> None:
        phrase = self._phrase(sentence)
        for name, state in phrase.states.items():
            self._by_state[section, name, state].append(phrase)
        if section is SectionName.FINDINGS and set(phrase.states.values()) == {FindingState.ABSENT}:
            self._denials[phrase.absent].append(phrase)

    def _phrase(self, sentence: Sentence) -> _Phrase:
        if sentence not in self._phrases:
            self._phrases[sentence] = _Phrase.read(sentence, self._schema)
        return self._phrases[sentence]

    def augment(self, base: Report, random: np.random.Generator) -> Report | None:
        for _ in range(_TRIES):
            wanted = self._draw_findings(random)
            report = self._rewrite(base, wanted, random)
            text = format_report(report)
            labels = label_findings(text, self._schema)
            consistent = all(labels[name] is state for name, state in wanted.items())
            if consistent and len(report) == len(base) and not find_contradictions(text, self._schema):
                return report
        return None

    def _draw_findings(self, random: np.random.Generator) -> dict[str, FindingState]:
        count = min(len(self._names), 1 + random.choice(len(_COUNTS), p=_COUNTS))
        names = random.choice(self._names, size=count, replace=False)
        return {
            str(name): FindingState.UNCERTAIN if random.random() < _UNCERTAIN else FindingState.PRESENT
            for name in names
        }

    def _rewrite(self, base: Report, wanted: Mapping[str, FindingState], random: np.random.Generator) -> Report:
        sections = []
        for section in base:
            added = list(self._draw_phrases(section.name, wanted, random))
            stated = {name for phrase in added for name in phrase.present} | set(wanted)
            kept = [self._without_denials(self._phrase(sentence), stated, random) for sentence in section.sentences]
            sentences = [phrase.sentence for phrase in kept if phrase is not None]
            position = 0 if section.name is SectionName.IMPRESSION else int(random.integers(len(sentences) + 1))
            sentences[position:position] = [phrase.sentence for phrase in added]
            if sentences:
                sections.append(Section(section.name, tuple(dict.fromkeys(sentences))))
        return tuple(sections)

    def _draw_phrases(
        self, section: SectionName, wanted: Mapping[str, FindingState], random: np.random.Generator
    ) -> Iterator[_Phrase]:
        """Yield a sentence for each wanted finding; in the impression, only one that states no other finding."""
        for name, state in wanted.items():
            phrases = self._by_state[section, name, state]
            if section is SectionName.IMPRESSION:
                phrases = [phrase for phrase in phrases if phrase.present <= set(wanted)]
            if phrases:
                yield phrases[random.integers(len(phrases))]

    def _without_denials(self, phrase: _Phrase, stated: set[str], random: np.random.Generator) -> _Phrase | None:
        """Return the phrase; if it denies a stated finding, a phrase that denies only the others, or None."""
        if phrase.states.get(self._schema.normal) is FindingState.PRESENT and not phrase.absent:
            return None
        if not phrase.absent & stated:
            return phrase
        fitting = self._denials.get(phrase.absent - stated, [])
        return fitting[random.integers(len(fitting))] if fitting else None
