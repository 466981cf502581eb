"""The findings of `report.FINDINGS` read from free text: mention, negation, uncertainty, laterality.

Rules written by hand, without a parser, over the phrases of `vocabularies/findings.toml`. How far they agree with human
coders is measured in `tests/test_findings_against_mesh.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from report_gen.labeling.phrases import NO_FINDING, OUTSIDE
from report_gen.labeling.statements import Statement, read_sentence
from report_gen.records.report import CHEXPERT, FINDINGS, FURTHER, FindingState
from report_gen.records.study import Laterality

__all__ = ["FINDINGS", "FindingState", "Mention", "find_mentions", "findings_said", "label_findings", "sentence_spans"]

DENIALS_OF_A_NORMAL_CHEST = 3
"""So many findings denied, and none stated, imply a normal chest. One alone ("No pneumothorax.") does not."""


@dataclass(frozen=True, kw_only=True)
class Mention:
    """One finding as one phrase of a text states it."""

    finding: str
    """One of `FINDINGS`."""
    state: FindingState
    """PRESENT, ABSENT or UNCERTAIN."""
    laterality: Laterality
    start: int
    end: int
    """The phrase is `text[start:end]`."""
    implied: bool
    """The phrase speaks of a place ("lungs are clear") and not of the finding."""


def label_findings(text: str) -> dict[str, FindingState]:
    """The state of each of `FINDINGS` in a report's text, with or without headings.

    Of several mentions PRESENT wins over UNCERTAIN and UNCERTAIN over ABSENT. No Finding follows CheXpert: ABSENT when
    a finding other than a support device is present, UNCERTAIN when one is uncertain and none present. With neither it
    is PRESENT when the text states a normal chest or denies several findings, and NOT_MENTIONED otherwise; also when
    something else is wrong that none of CheXpert's 14 names (a hernia, a scoliosis).

    Args:
        text: The report.

    Returns:
        The state of each finding by its name.
    """
    states = dict.fromkeys(FINDINGS, FindingState.NOT_MENTIONED)
    for _, statement in _statements(text):
        strongest = states.get(statement.finding, FindingState.NOT_MENTIONED)
        if _WEIGHT[statement.state] > _WEIGHT[strongest]:
            states[statement.finding] = statement.state
    outside = {states[name] for name in FURTHER} | {states.pop(OUTSIDE, FindingState.NOT_MENTIONED)}
    return states | {NO_FINDING: _no_finding(states, outside)}


def findings_said(text: str, state: FindingState) -> set[str]:
    """The findings but "No Finding", which follows from the others, that a text states to be so."""
    return {name for name, said in label_findings(text).items() if said is state and name != NO_FINDING}


def find_mentions(text: str) -> tuple[Mention, ...]:
    """Every mention of a finding, in order; one phrase may name several findings.

    Text under INDICATION, HISTORY, COMPARISON or TECHNIQUE does not count. No Finding is mentioned, as PRESENT, by the
    phrases that state a normal chest.
    """
    return tuple(
        Mention(
            finding=statement.finding,
            state=statement.state,
            laterality=statement.laterality,
            start=offset + statement.start,
            end=offset + statement.end,
            implied=statement.implied,
        )
        for offset, statement in _statements(text)
        if statement.finding != OUTSIDE
    )


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence that counts, without those under a heading that does not."""
    for start, end in _counting_sections(text):
        for match in _SENTENCE.finditer(text, start, end):
            yield match.start(), match.start() + len(match[0].rstrip())


_WEIGHT = {
    FindingState.NOT_MENTIONED: 0,
    FindingState.ABSENT: 1,
    FindingState.UNCERTAIN: 2,
    FindingState.PRESENT: 3,
}


def _statements(text: str) -> Iterator[tuple[int, Statement]]:
    for start, end in sentence_spans(text):
        for statement in read_sentence(text[start:end]):
            yield start, statement


def _no_finding(states: Mapping[str, FindingState], outside: set[FindingState]) -> FindingState:
    """By the states of CheXpert's findings, and of all that CheXpert does not name."""
    others = [states[name] for name in CHEXPERT if name not in (NO_FINDING, "Support Devices")]
    if FindingState.PRESENT in others:
        return FindingState.ABSENT
    if FindingState.UNCERTAIN in others:
        return FindingState.UNCERTAIN
    normal = (
        states[NO_FINDING] is FindingState.PRESENT or others.count(FindingState.ABSENT) >= DENIALS_OF_A_NORMAL_CHEST
    )
    something_else = not outside.isdisjoint({FindingState.PRESENT, FindingState.UNCERTAIN})
    return FindingState.PRESENT if normal and not something_else else FindingState.NOT_MENTIONED


# What is asked, known beforehand or done says nothing of what is seen.
_SILENT = (
    r"(?:clinical |relevant |patient )?(?:indications?|history|information|details|data)"
    r"|reason for (?:the |this )?(?:exam(?:ination)?|study)"
    r"|comparisons?|techniques?|procedure|exam(?:ination)?|views?|request"
)
_COUNTING = r"findings?(?: and impression)?|impressions?|conclusions?|opinion|report|interpretation|results?"
_HEADING = re.compile(rf"(?:^|(?<=[.!?\n]))\s*(?:(?P<silent>{_SILENT})|{_COUNTING})\s*:", re.IGNORECASE)
# A stop ends a sentence when white space or a capital follows, save after the abbreviations; so does a semicolon, an
# empty line, and the beginning of the next item of a list.
_SENTENCE = re.compile(
    r"[^\s.!;](?:(?!\n\s*\n|\n\s*(?:\d+[.)]|[-*\u2022])\s)[^.!?;]|[.](?=[^\sA-Z])|(?<=\b[Vv]s)[.]|(?<=\b[Dd]r)[.])*[.!?;]*"
)


def _counting_sections(text: str) -> Iterator[tuple[int, int]]:
    start, counts = 0, True
    for heading in _HEADING.finditer(text):
        if counts:
            yield start, heading.start()
        start, counts = heading.end(), heading["silent"] is None
    if counts:
        yield start, len(text)
