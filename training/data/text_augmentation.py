"""Make new reports from the sentences of a corpus, so that the decoder learns to follow the findings it is given.

Most reports of a corpus are normal, and the abnormal ones show few combinations of findings. Here a report gets
sentences about other findings from other reports, and loses the sentences that they contradict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from report_gen.auditing import find_contradictions
from report_gen.records import (
    DESCRIBING_SECTIONS,
    FindingSchema,
    FindingState,
    Section,
    SectionName,
    Sentence,
    format_report,
)

from .sentence_bank import BankSentence, Report, SentenceBank

_MIN_SENTENCES = 4
"""A finding with fewer sentences is not used: the decoder would memorize them."""
_UNCERTAIN = 0.25
"""Probability that a finding is added as uncertain."""
_COUNTS = (0.35, 0.2, 0.2, 0.12, 0.08, 0.05)
"""Probabilities of adding 1 to 6 findings: about as many as a finding head states in an abnormal study."""
_TRIES = 8


def augment_texts(
    reports: Sequence[Report],
    count: int,
    random: np.random.Generator,
    schema: FindingSchema,
    *,
    sentences: Iterable[Report] | None = None,
    normals: float = 0.0,
    accept: Callable[[Report], bool] = bool,
) -> Iterator[Report]:
    """Yield `count` new reports with findings and impression; fewer if no sentences fit. None contradicts itself.

    All sentences of a new report agree about the side, the zones and the degree of each finding. The reports are read
    one at a time and need not fit into memory.

    Args:
        reports: Training reports.
        count: Number of new reports.
        random: Chooses findings and sentences.
        schema: The findings that are labeled in the sentences.
        sentences: Reports whose sentences are combined; `reports` by default.
        normals: Share of the new reports that state no finding.
        accept: Returns whether a new report may be used.
    """
    bank = SentenceBank(reports if sentences is None else sentences, schema)
    complete = [
        index for index, report in enumerate(reports) if {one.name for one in report} == set(DESCRIBING_SECTIONS)
    ]
    names = bank.frequent_findings(_MIN_SENTENCES)
    for _ in range(count if complete and schema.findings else 0):
        is_normal = normals > 0 and random.random() < normals
        if not (is_normal or names):
            continue
        for _ in range(_TRIES):
            base = reports[complete[random.integers(len(complete))]]
            report = _normal(base, bank, random, schema) if is_normal else _abnormal(base, names, bank, random)
            if report and not find_contradictions(format_report(report), schema) and accept(report):
                yield report
                break


def _abnormal(base: Report, names: Sequence[str], bank: SentenceBank, random: np.random.Generator) -> Report:
    """Return the base with findings added, or an empty report if the sentences do not fit together."""
    wanted = _draw_findings(names, random)
    report = _rewrite(base, wanted, bank, random)
    labels, described = bank.labels(report), bank.labels(report[:1])  # the findings section comes first
    fits = len(report) == len(base) and all(labels[name] is described[name] is state for name, state in wanted.items())
    return report if fits and bank.is_consistent(report) else ()


def _normal(base: Report, bank: SentenceBank, random: np.random.Generator, schema: FindingSchema) -> Report:
    """Return a normal base with other sentences that say the same, or an empty report if the base is not normal."""
    if bank.labels(base)[schema.normal] is not FindingState.PRESENT:
        return ()
    sections = []
    for section in base:
        sentences = (_same_meaning(bank.read(sentence), bank, random) for sentence in section.sentences)
        sections.append(Section(section.name, tuple(dict.fromkeys(sentences))))
    return tuple(sections)


def _same_meaning(sentence: BankSentence, bank: SentenceBank, random: np.random.Generator) -> Sentence:
    """Return a sentence that denies the same findings, or calls the study normal as well; the same one if none does."""
    other = bank.draw_normal(random) if bank.calls_normal(sentence) else bank.draw_denial(sentence.absent, random)
    return (other or sentence).sentence


def _draw_findings(names: Sequence[str], random: np.random.Generator) -> dict[str, FindingState]:
    count = min(len(names), 1 + random.choice(len(_COUNTS), p=_COUNTS))
    return {
        str(name): FindingState.UNCERTAIN if random.random() < _UNCERTAIN else FindingState.PRESENT
        for name in random.choice(names, size=count, replace=False)
    }


def _rewrite(
    base: Report, wanted: Mapping[str, FindingState], bank: SentenceBank, random: np.random.Generator
) -> Report:
    drawn: list[BankSentence] = []
    added: dict[SectionName, list[BankSentence]] = {}
    for section in base:
        added[section.name] = list(bank.draw(section.name, wanted, drawn, random))
        drawn += added[section.name]
    stated = set(wanted).union(*(one.locations for one in drawn))
    sections = []
    for section in base:
        kept = [_without_denials(bank.read(sentence), stated, bank, random) for sentence in section.sentences]
        sentences = [one.sentence for one in kept if one is not None]
        position = 0 if section.name is SectionName.IMPRESSION else int(random.integers(len(sentences) + 1))
        sentences[position:position] = [one.sentence for one in added[section.name]]
        if sentences:
            sections.append(Section(section.name, tuple(dict.fromkeys(sentences))))
    return tuple(sections)


def _without_denials(
    sentence: BankSentence, stated: set[str], bank: SentenceBank, random: np.random.Generator
) -> BankSentence | None:
    """Return the sentence; if it denies a stated finding, one that denies only the others, or None."""
    if bank.calls_normal(sentence):
        return None
    if not sentence.absent & stated:
        return sentence
    return bank.draw_denial(sentence.absent - stated, random)
