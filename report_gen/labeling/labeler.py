"""Label reports: read the findings of a schema from free text, with negation, uncertainty and laterality.

The rules are written by hand, without a parser, over the phrases of a finding schema and the cues of
`vocabularies/cues.toml`. `tests/labeling/test_labeler_against_mesh.py` measures how far they agree with human coders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

from report_gen.labeling.phrases import OUTSIDE, build_vocabulary
from report_gen.labeling.schema_files import chest_xray
from report_gen.labeling.statements import Statement, read_sentence
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.study import Laterality

DENIALS_OF_A_NORMAL_STUDY = 3
"""So many findings denied, and none stated, imply a normal study. One alone ("No pneumothorax.") does not."""

_KNOWN_SENTENCES = 65536
"""Sentences whose statements a labeler keeps: in reports three sentences of four have occurred before."""


@dataclass(frozen=True, kw_only=True)
class Mention:
    """One finding as one phrase of a text states it."""

    finding: str
    """A finding of the schema."""
    state: FindingState
    """PRESENT, ABSENT or UNCERTAIN."""
    laterality: Laterality
    start: int
    end: int
    """The phrase is `text[start:end]`."""
    implied: bool
    """The phrase names an anatomy or an abnormality ("lungs are clear") and not the finding."""


class FindingLabeler:
    """Reads the findings of one schema from texts. It may be shared between threads.

    >>> FindingLabeler(chest_xray()).label("No pneumothorax.")["Pneumothorax"]
    <FindingState.ABSENT: 'absent'>

    Args:
        schema: The findings, and the phrases by which reports state them.
    """

    def __init__(self, schema: FindingSchema) -> None:
        self.schema = schema
        read = partial(read_sentence, vocabulary=build_vocabulary(schema))
        self._read_sentence = lru_cache(maxsize=_KNOWN_SENTENCES)(read)

    def label(self, text: str) -> dict[str, FindingState]:
        """Return the state of every finding in a report's text, with or without headings; see `label_findings`."""
        strongest = dict.fromkeys((*self.schema.findings, OUTSIDE), FindingState.NOT_MENTIONED)
        for _, statement in self._statements(text):
            if _STRENGTH[statement.state] > _STRENGTH[strongest[statement.finding]]:
                strongest[statement.finding] = statement.state
        outside = strongest.pop(OUTSIDE)
        return self.schema.with_no_finding(
            strongest,
            denials=DENIALS_OF_A_NORMAL_STUDY,
            states_normal=strongest.get(self.schema.normal) is FindingState.PRESENT,
            other_abnormality=outside in (FindingState.PRESENT, FindingState.UNCERTAIN),
        )

    def findings_in_state(self, text: str, state: FindingState) -> set[str]:
        """Return the findings that a text states to be in a state, without the one that follows from the others."""
        states = self.label(text)
        return {name for name in self.schema.stated if states[name] is state}

    def find_mentions(self, text: str) -> tuple[Mention, ...]:
        """Return every mention of a finding, in order; see the function `find_mentions`."""
        return tuple(
            Mention(
                finding=statement.finding,
                state=statement.state,
                laterality=statement.laterality,
                start=offset + statement.start,
                end=offset + statement.end,
                implied=statement.implied,
            )
            for offset, statement in self._statements(text)
            if statement.finding != OUTSIDE
        )

    def _statements(self, text: str) -> Iterator[tuple[int, Statement]]:
        for start, end in sentence_spans(text):
            for statement in self._read_sentence(text[start:end]):
                yield start, statement


@lru_cache(maxsize=16)
def finding_labeler(schema: FindingSchema) -> FindingLabeler:
    """Return the labeler of a schema; equal schemas share one, as its patterns take a while to compile."""
    return FindingLabeler(schema)


def label_findings(text: str, schema: FindingSchema | None = None) -> dict[str, FindingState]:
    """Return the state of every finding of a schema in a report's text, with or without headings.

    Of several mentions PRESENT wins over UNCERTAIN and UNCERTAIN over ABSENT. "No finding" follows CheXpert: ABSENT
    when a finding other than a support device is present, UNCERTAIN when one is uncertain and none present. With
    neither it is PRESENT when the text states a normal study or denies several findings, and NOT_MENTIONED otherwise;
    also when something else is wrong that the label set does not name (in a chest a hernia or a scoliosis).

    Args:
        text: The report.
        schema: The findings; those of chest radiographs if not given.

    Returns:
        The state of each finding by its name.
    """
    return finding_labeler(schema or chest_xray()).label(text)


def findings_in_state(text: str, state: FindingState, schema: FindingSchema | None = None) -> set[str]:
    """Return the findings that a text states to be in a state, without the one that follows from the others."""
    return finding_labeler(schema or chest_xray()).findings_in_state(text, state)


def find_mentions(text: str, schema: FindingSchema | None = None) -> tuple[Mention, ...]:
    """Return every mention of a finding, in order; one phrase may name several findings.

    Text under INDICATION, HISTORY, COMPARISON or TECHNIQUE does not count. "No finding" is mentioned, as PRESENT, by
    the phrases that state a normal study.
    """
    return finding_labeler(schema or chest_xray()).find_mentions(text)


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of each sentence that counts, without those under a heading that does not."""
    for start, end in _counting_sections(text):
        for match in _SENTENCE.finditer(text, start, end):
            yield match.start(), match.start() + len(match[0].rstrip())


_STRENGTH = {
    FindingState.NOT_MENTIONED: 0,
    FindingState.ABSENT: 1,
    FindingState.UNCERTAIN: 2,
    FindingState.PRESENT: 3,
}


# Text under these headings was asked, known beforehand or done: it does not describe the images.
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
