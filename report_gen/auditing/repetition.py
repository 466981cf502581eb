"""Find sentences that repeat an earlier sentence, or state a finding that an earlier sentence states."""

from __future__ import annotations

import re
from collections.abc import Iterator

from report_gen.auditing.sentences import split_into_sentences
from report_gen.labeling import finding_labeler
from report_gen.records import FindingSchema, Side


def find_repeated_sentences(text: str) -> tuple[str, ...]:
    """Return the sentences that repeat an earlier one, apart from case, punctuation and list numbers."""
    earlier: set[str] = set()
    repeated = []
    for sentence in split_into_sentences(text):
        words = " ".join(re.findall(r"[^\W_]+", _NUMBERING.sub("", sentence).lower()))
        if words in earlier:
            repeated.append(sentence)
        elif words:
            earlier.add(words)
    return tuple(repeated)


def find_repeated_findings(section: str, schema: FindingSchema) -> tuple[str, ...]:
    """Return the findings that several sentences of a section state, once for each further sentence.

    "Severe cardiomegaly. Mild cardiomegaly." states one finding twice. Statements about opposite sides do not count,
    nor do findings that the vocabulary marks `several_entities`.

    Args:
        section: Text of one section: another section may well state a finding again.
        schema: The findings.
    """
    stated: dict[str, list[Side]] = {}
    repeated = []
    for sentence in split_into_sentences(section):
        for finding, side in dict(_stated_sides(sentence, schema)).items():
            earlier = stated.setdefault(finding, [])
            if any({side, other} != {Side.LEFT, Side.RIGHT} for other in earlier):
                repeated.append(finding)
            earlier.append(side)
    return tuple(repeated)


def _stated_sides(sentence: str, schema: FindingSchema) -> Iterator[tuple[str, Side]]:
    labeler = finding_labeler(schema)
    for mention in labeler.find_mentions(sentence):
        if mention.state.is_stated and mention.finding not in labeler.vocabulary.several_entities:
            yield mention.finding, mention.location.side


_NUMBERING = re.compile(r"^\s*\d+[.)](?:\s+|$)")
