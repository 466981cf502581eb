"""The 14 CheXpert findings read from free text: mention, negation, uncertainty, laterality.

Rules written by hand, without a parser, over the phrases of `findings_vocabulary.toml`. What they agree with is measured in
`tests/test_findings_against_mesh.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from report_gen.finding_scopes import OUTSIDE, Statement, read_sentence
from report_gen.report import FINDINGS, FindingState
from report_gen.study import Laterality

__all__ = ["FINDINGS", "FindingState", "Mention", "find_mentions", "label_findings", "sentence_spans"]

NO_FINDING = "No Finding"
SUPPORT_DEVICES = "Support Devices"

DENIALS_OF_A_NORMAL_CHEST = 3
"""So many findings denied, and none stated, imply a normal chest. One alone ("No pneumothorax.") does not."""


@dataclass(frozen=True)
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
    implied: bool = False
    """The phrase speaks of a place ("lungs are clear") and not of the finding."""


def label_findings(text: str) -> dict[str, FindingState]:
    """The state of each of the 14 findings in a report's text, with or without headings.

    Of several mentions PRESENT wins over UNCERTAIN and UNCERTAIN over ABSENT. No Finding follows CheXpert: ABSENT when a
    finding other than a support device is present; UNCERTAIN when one is uncertain and none present; PRESENT when neither,
    and the text states a normal chest or denies several findings; otherwise NOT_MENTIONED, as for a report whose only
    finding is none of the 14 (a hernia, a scoliosis).
    """
    statements = [statement for _, statement in _statements(text)]
    states = dict.fromkeys(FINDINGS, FindingState.NOT_MENTIONED)
    for statement in statements:
        if statement.finding in states and _WEIGHT[statement.state] > _WEIGHT[states[statement.finding]]:
            states[statement.finding] = statement.state
    states[NO_FINDING] = _no_finding(
        states,
        any(statement.finding == OUTSIDE and statement.state is not FindingState.ABSENT for statement in statements),
    )
    return states


def find_mentions(text: str) -> tuple[Mention, ...]:
    """Every mention of a finding, in order. Text under INDICATION, HISTORY, COMPARISON or TECHNIQUE does not count."""
    return tuple(
        Mention(
            statement.finding,
            statement.state,
            statement.laterality,
            offset + statement.start,
            offset + statement.end,
            statement.implied,
        )
        for offset, statement in _statements(text)
        if statement.finding != OUTSIDE
    )


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence that counts, without those under a heading that does not."""
    for start, end in _counting_sections(text):
        for match in _SENTENCE.finditer(text, start, end):
            yield match.span()


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


def _no_finding(states: dict[str, FindingState], outside: bool) -> FindingState:
    others = [state for name, state in states.items() if name not in (NO_FINDING, SUPPORT_DEVICES)]
    if FindingState.PRESENT in others:
        return FindingState.ABSENT
    if FindingState.UNCERTAIN in others:
        return FindingState.UNCERTAIN
    normal = (
        states[NO_FINDING] is FindingState.PRESENT or others.count(FindingState.ABSENT) >= DENIALS_OF_A_NORMAL_CHEST
    )
    return FindingState.PRESENT if normal and not outside else FindingState.NOT_MENTIONED


# What is asked, known beforehand or done says nothing of what is seen.
_HEADING = re.compile(
    r"(?:^|(?<=[.!?\n]))\s*(?:"
    r"(?P<silent>(?:clinical |relevant )?(?:indications?|history|information|details|data)|reason for (?:the )?(?:exam(?:ination)?|study)"
    r"|comparisons?|techniques?|procedure|exam(?:ination)?|views?|prior(?: studies| exams?)?|request)"
    r"|(?P<counting>findings?(?: and impression)?|impressions?|conclusions?|opinion|report|interpretation|results?)"
    r")\s*:",
    re.IGNORECASE,
)
# A stop ends a sentence when white space follows, save after the abbreviations; so does an empty line, or the next item.
_SENTENCE = re.compile(
    r"\S(?:(?!\n\s*\n|\n\s*(?:\d+[.)]|[-*\u2022])\s)[^.!?;]|[.](?=\S)|(?<=\bvs)[.]|(?<=\bdr)[.])*[.!?;]*",
    re.IGNORECASE,
)


def _counting_sections(text: str) -> Iterator[tuple[int, int]]:
    start, counts = 0, True
    for heading in _HEADING.finditer(text):
        if counts:
            yield start, heading.start()
        start, counts = heading.end(), heading["silent"] is None
    if counts:
        yield start, len(text)
