"""Label reports: read the findings of a schema from free text, with negation, uncertainty and location.

Hand-written rules, without a parser, combine the phrases of a finding schema with the cues of `vocabularies/cues.toml`.
`tests/labeling/test_labeler_against_mesh.py` measures the agreement with human coders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, reduce

from report_gen.labeling.phrases import OUTSIDE, build_vocabulary
from report_gen.labeling.schema_files import chest_xray
from report_gen.labeling.sections import describing_spans
from report_gen.labeling.statements import Statement, read_sentence
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, FindingSchema, FindingState

DENIALS_OF_A_NORMAL_STUDY = 3
"""Number of denied findings that implies a normal study if no finding is stated. "No pneumothorax." alone does not."""

_CACHED_SENTENCES = 65536
"""Number of sentences whose statements a labeler caches: three of four sentences of a corpus have occurred before."""
_CACHED_TEXTS = 1024
"""Number of texts whose sentences a labeler caches: the audit of a draft reads its text a dozen times."""


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A finding, and what one phrase of a text states about it."""

    finding: str
    """A finding of the schema."""
    state: FindingState
    """PRESENT, ABSENT or UNCERTAIN."""
    location: FindingLocation
    """Where the phrase places the finding, also if it denies it, and also a device."""
    start: int
    end: int
    """The phrase is `text[start:end]`."""
    implied: bool
    """The phrase does not name the finding, but an anatomy or an abnormality ("lungs are clear")."""


class FindingLabeler:
    """Reads the findings of one schema from texts. Several threads may share a labeler.

    >>> FindingLabeler(chest_xray()).label("No pneumothorax.")["Pneumothorax"]
    <FindingState.ABSENT: 'absent'>

    Args:
        schema: The findings, and the phrases by which reports state them.
    """

    def __init__(self, schema: FindingSchema) -> None:
        self.schema = schema
        self.vocabulary = build_vocabulary(schema)
        read = partial(read_sentence, vocabulary=self.vocabulary)
        self._read_sentence = lru_cache(maxsize=_CACHED_SENTENCES)(read)
        self._locate_sentence = lru_cache(maxsize=_CACHED_SENTENCES)(partial(read, locate=True))
        self._label_sentence = lru_cache(maxsize=_CACHED_SENTENCES)(self._strongest)
        self._sentence_spans = lru_cache(maxsize=_CACHED_TEXTS)(self._find_sentences)

    def label(self, text: str) -> dict[str, FindingState]:
        """Return the state of every finding in the text of a report; see the function `label_findings`."""
        strongest = dict.fromkeys((*self.schema.findings, OUTSIDE), FindingState.NOT_MENTIONED)
        for start, end in self._sentence_spans(text):
            for finding, state in self._label_sentence(text[start:end]):
                if _STRENGTH[state] > _STRENGTH[strongest[finding]]:
                    strongest[finding] = state
        outside = strongest.pop(OUTSIDE)
        return self.schema.with_no_finding(
            strongest,
            denials=DENIALS_OF_A_NORMAL_STUDY,
            states_normal=strongest.get(self.schema.normal) is FindingState.PRESENT,
            other_abnormality=outside in (FindingState.PRESENT, FindingState.UNCERTAIN),
        )

    def findings_in_state(self, text: str, state: FindingState) -> set[str]:
        """Return the findings that have a given state in a text; see the function `findings_in_state`."""
        states = self.label(text)
        return {name for name in self.schema.stated if states[name] is state}

    def find_mentions(self, text: str) -> tuple[Mention, ...]:
        """Return every mention of a finding, in order; see the function `find_mentions`."""
        return tuple(
            Mention(
                finding=statement.finding,
                state=statement.state,
                location=statement.location,
                start=offset + statement.start,
                end=offset + statement.end,
                implied=statement.implied,
            )
            for offset, statement in self._statements(text, locate=True)
            if statement.finding != OUTSIDE
        )

    def locate(self, text: str) -> dict[str, FindingLocation]:
        """Return where the present and uncertain findings of a text are; see the function `locate_findings`."""
        found: dict[FindingState, dict[str, FindingLocation]] = {state: {} for state in _LOCATED}
        for _, statement in self._statements(text, locate=True):
            if statement.state in found and statement.finding in self.schema.stated:
                located = found[statement.state]
                earlier = located.get(statement.finding, UNKNOWN_LOCATION)
                located[statement.finding] = earlier.join(statement.location)
        return {
            name: self._location(name, [found[state][name] for state in found if name in found[state]])
            for name in self.schema.stated
            if any(name in located for located in found.values())
        }

    def _location(self, finding: str, locations: Sequence[FindingLocation]) -> FindingLocation:
        """Return the location of a finding from those of its present and its uncertain mentions, in this order."""
        if finding in self.vocabulary.unlocated:
            return UNKNOWN_LOCATION
        return reduce(FindingLocation.or_else, locations)

    def read_statements(self, text: str) -> tuple[Statement, ...]:
        """Return every statement of a text, including statements about abnormalities outside the schema.

        Positions are relative to the beginning of the sentence.
        """
        return tuple(statement for _, statement in self._statements(text))

    def _strongest(self, sentence: str) -> tuple[tuple[str, FindingState], ...]:
        """Return the strongest state of each finding that a sentence states."""
        strongest: dict[str, FindingState] = {}
        for statement in self._read_sentence(sentence):
            if _STRENGTH[statement.state] > _STRENGTH[strongest.get(statement.finding, FindingState.NOT_MENTIONED)]:
                strongest[statement.finding] = statement.state
        return tuple(strongest.items())

    def _statements(self, text: str, *, locate: bool = False) -> Iterator[tuple[int, Statement]]:
        read = self._locate_sentence if locate else self._read_sentence
        for start, end in self._sentence_spans(text):
            for statement in read(text[start:end]):
                yield start, statement

    def _find_sentences(self, text: str) -> tuple[tuple[int, int], ...]:
        """Return the sentences of a text as `sentence_spans`; none if it is about another part of the body."""
        other_body_parts = self.vocabulary.other_body_parts
        return () if other_body_parts is not None and other_body_parts.describes(text) else tuple(sentence_spans(text))


@lru_cache(maxsize=16)
def finding_labeler(schema: FindingSchema) -> FindingLabeler:
    """Return the labeler of a schema. Equal schemas share one labeler, because compiling its patterns takes time."""
    return FindingLabeler(schema)


def label_findings(text: str, schema: FindingSchema | None = None) -> dict[str, FindingState]:
    """Return the state of every finding of a schema in a report's text, with or without headings.

    If a finding is mentioned several times, PRESENT has precedence over UNCERTAIN, and UNCERTAIN over ABSENT. "No
    finding" follows the rule of CheXpert: it is ABSENT if a finding other than a support device is present, and
    UNCERTAIN if no such finding is present and one is uncertain. Otherwise it is PRESENT if the text states a normal
    study or denies several findings, and NOT_MENTIONED if it does neither. It is NOT_MENTIONED as well if the text
    states an abnormality that the label set does not name, such as a scoliosis in a chest radiograph.

    Args:
        text: The report.
        schema: The findings; those of chest radiographs if not given.

    Returns:
        The state of each finding by its name.
    """
    return finding_labeler(schema or chest_xray()).label(text)


def report_labels(text: str, schema: FindingSchema) -> tuple[float | None, ...]:
    """Return the labels [F] of a study that only its report gives, as corpora have them.

    Args:
        text: The report.
        schema: The F findings.

    Returns:
        1 for a present finding, 0 for an absent one and for one that the report does not mention, None for an uncertain
        one.
    """
    return tuple(_LABELS.get(state) for state in label_findings(text, schema).values())


def findings_in_state(text: str, state: FindingState, schema: FindingSchema | None = None) -> set[str]:
    """Return the findings that have a given state in a text.

    Args:
        text: The report.
        state: The state.
        schema: The findings; those of chest radiographs if not given.

    Returns:
        Names of findings, never the "no finding" of the schema.
    """
    return finding_labeler(schema or chest_xray()).findings_in_state(text, state)


def locate_findings(text: str, schema: FindingSchema | None = None) -> dict[str, FindingLocation]:
    """Return where the findings of a report are that its text states to be present or uncertain.

    Mentions of one finding are combined: right in one sentence and left in another give both sides. If a finding is
    present, uncertain mentions only tell what the others leave unknown. The location of findings of the midline and of
    support devices is unknown.

    Args:
        text: The report.
        schema: The findings; those of chest radiographs if not given.

    Returns:
        The location of each present or uncertain finding by its name, with unknown parts; never "no finding".
    """
    return finding_labeler(schema or chest_xray()).locate(text)


def find_mentions(text: str, schema: FindingSchema | None = None) -> tuple[Mention, ...]:
    """Return every mention of a finding in a text, in order.

    One phrase may mention several findings. Text under INDICATION, HISTORY, COMPARISON or TECHNIQUE is skipped, and so
    is a text about another part of the body than the schema's. Phrases that state a normal study mention "no finding"
    as PRESENT.

    Args:
        text: The report.
        schema: The findings; those of chest radiographs if not given.
    """
    return finding_labeler(schema or chest_xray()).find_mentions(text)


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each sentence that describes the images.

    Sentences under INDICATION, HISTORY, COMPARISON, TECHNIQUE or RECOMMENDATION are skipped; see `cut_report`.
    """
    for start, end in describing_spans(text):
        sentence = _SENTENCE if end - start > _LONGEST_SENTENCE else _SENTENCE_OF_SHORT_TEXT
        for match in sentence.finditer(text, start, end):
            yield match.start(), match.start() + len(match[0].rstrip())


_LOCATED = (FindingState.PRESENT, FindingState.UNCERTAIN)
"""States of findings that have a location."""

_LABELS = {FindingState.PRESENT: 1.0, FindingState.ABSENT: 0.0, FindingState.NOT_MENTIONED: 0.0}

_STRENGTH = {
    FindingState.NOT_MENTIONED: 0,
    FindingState.ABSENT: 1,
    FindingState.UNCERTAIN: 2,
    FindingState.PRESENT: 3,
}


# A full stop ends a sentence if white space or a capital letter follows, except after the abbreviations "vs." and
# "Dr.". A semicolon, an empty line, the next list item and the next `Label:` at the beginning of a line end a sentence
# as well, and so do 2,000 characters, so that the time is linear in the length of any text. A question mark does not
# if an answer follows ("Pneumonia? No."; nor does a row of dots) or if it begins a question ("opacity, ? edema").
_LONGEST_SENTENCE = 2000
_INSIDE = (
    r"(?!\n\s*\n|\n\s*(?:(?:\d+[.)]|[-*\u2022])\s|[A-Z][\w/() -]{1,40}:[ \t]))[^.!?;]|[.](?=[^\sA-Z])"
    r"|(?<=\b[Vv]s)[.]|(?<=\b[Dd]r)[.]"
    r"|(?:[?]|(?<=[.])[.])(?=\s*(?i:no|none|nil|negative|yes)\b\s*(?:[.,;]|$))"
    r"|(?<=[,(:-])[?]|(?<=[,(:-][ ])[?](?=[ ]?\w)"
)
_SENTENCE = re.compile(rf"[^\s.!;](?:{_INSIDE}){{0,{_LONGEST_SENTENCE}}}[.!?;]*")
# A shorter text cannot reach the limit, so runs of characters that end no sentence need not be counted.
_SENTENCE_OF_SHORT_TEXT = re.compile(rf"[^\s.!;](?:[^.!?;\n]++|{_INSIDE})*+[.!?;]*")
