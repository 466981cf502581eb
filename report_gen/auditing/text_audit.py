"""Find statements of a text that must be wrong, from the text alone.

Training cleans its reports with these checks, and drafting flags its drafts with them. The checks use no image, so they
cannot confirm a statement. They find statements that one study cannot support, and statements that exclude each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from report_gen.auditing.contradictions import find_contradictions
from report_gen.auditing.deidentification_marks import has_deidentification_mark
from report_gen.auditing.priors import mentions_prior
from report_gen.auditing.repetition import find_repeated_sentences
from report_gen.auditing.sentences import split_into_sentences
from report_gen.records import FindingSchema


class FlagKind(StrEnum):
    """What is wrong with a sentence."""

    PRIOR = "prior"
    """The sentence refers to an earlier study, which the images of one study cannot support."""
    DEIDENTIFICATION = "de-identification"
    """The sentence contains a de-identification mark."""
    CONTRADICTION = "contradiction"
    """The sentence denies a finding that another sentence states."""
    REPETITION = "repetition"
    """The sentence repeats an earlier sentence."""


@dataclass(frozen=True)
class Flag:
    """One fault of one sentence."""

    kind: FlagKind
    sentence: str
    reason: str


def audit_text(text: str, schema: FindingSchema | None = None) -> tuple[Flag, ...]:
    """Return the faults of a text: first faults of single sentences, then contradictions and repetitions."""
    flags = [flag for sentence in split_into_sentences(text) for flag in _audit_sentence(sentence)]
    flags += [
        Flag(FlagKind.CONTRADICTION, found.absent, f"denies {found.finding}, stated in: {found.present}")
        for found in find_contradictions(text, schema)
    ]
    flags += [
        Flag(FlagKind.REPETITION, sentence, "repeats an earlier sentence") for sentence in find_repeated_sentences(text)
    ]
    return tuple(flags)


def _audit_sentence(sentence: str) -> Iterator[Flag]:
    if mentions_prior(sentence):
        yield Flag(FlagKind.PRIOR, sentence, "refers to an earlier study")
    if has_deidentification_mark(sentence):
        yield Flag(FlagKind.DEIDENTIFICATION, sentence, "contains a de-identification mark")
