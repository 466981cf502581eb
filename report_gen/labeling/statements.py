"""Read the statements of a sentence about findings, made by name or through a quality of an anatomy.

A quality is joined to the anatomies before it ("heart size and mediastinal contours are normal"). If there are none, it
is joined to the anatomies after it ("normal heart size and mediastinal contours").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from report_gen.labeling.locations import locate_phrases
from report_gen.labeling.marks import DENIED, NOT_MENTIONED, STATED, Mark
from report_gen.labeling.negation import mark_phrases
from report_gen.labeling.phrases import Phrase, Role, Vocabulary
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, FindingState


@dataclass(frozen=True, slots=True)
class Statement:
    """A finding, and what one phrase of a sentence states about it."""

    finding: str
    """A finding of the schema, or `OUTSIDE`."""
    state: FindingState
    location: FindingLocation
    """Where the phrase places the finding; unknown if locations were not read."""
    start: int
    end: int
    """The phrase is `sentence[start:end]`."""
    implied: bool
    """The phrase does not name the finding, but an anatomy or an abnormality ("lungs are clear")."""


def read_sentence(sentence: str, vocabulary: Vocabulary, *, locate: bool = False) -> tuple[Statement, ...]:
    """Return all statements of a sentence, in the order of their phrases.

    Args:
        sentence: The sentence.
        vocabulary: The vocabulary of the schema.
        locate: Whether locations are read as well, which takes as long again.
    """
    marks = mark_phrases(sentence, vocabulary)
    claims = [*_stated(marks), *_implied(sentence, marks, vocabulary)]
    locations = (
        locate_phrases(sentence, marks, {claim.phrase.start for claim in claims}, vocabulary)
        if locate and claims
        else {}
    )
    return tuple(
        Statement(
            finding=claim.finding,
            state=claim.state,
            location=locations.get(claim.phrase.start, UNKNOWN_LOCATION),
            start=claim.phrase.start,
            end=claim.phrase.end,
            implied=claim.implied,
        )
        for claim in sorted(claims, key=lambda claim: claim.phrase.start)
    )


@dataclass(frozen=True, slots=True)
class _Claim:
    phrase: Phrase
    finding: str
    state: FindingState
    implied: bool


def _stated(marks: Sequence[Mark]) -> Iterator[_Claim]:
    """Yield the claims of phrases that name a finding, and of denied abnormalities.

    An abnormality without a name ("an abnormality is present") claims nothing.
    """
    for mark in marks:
        if mark.modifier is NOT_MENTIONED:
            continue
        for finding, state in mark.phrase.claims:
            modified = state if mark.modifier in (None, STATED) else mark.modifier
            yield _Claim(mark.phrase, finding, modified, implied=False)
        for finding, state in mark.phrase.denied if mark.modifier is DENIED else ():
            yield _Claim(mark.phrase, finding, state, implied=True)


def _implied(sentence: str, marks: Sequence[Mark], vocabulary: Vocabulary) -> Iterator[_Claim]:
    """Yield the claims that follow from the qualities of anatomies."""
    for quality, anatomies in _join_anatomies(sentence, marks, vocabulary):
        for anatomy in anatomies:
            for finding, state in vocabulary.qualities[anatomy.phrase.name, quality.phrase.name]:
                if modified := _modify_quality(state, quality.modifier):
                    yield _Claim(quality.phrase, finding, modified, implied=True)


def _modify_quality(state: FindingState, modifier: FindingState | None) -> FindingState | None:
    """Return the state that remains of a quality after a cue; None if it claims nothing.

    `not enlarged` denies and `may be enlarged` hedges. `not normal` and `may be normal` name no finding.
    """
    if modifier is None or modifier is STATED:
        return state
    return None if modifier is NOT_MENTIONED or state is DENIED else modifier


_COPULA = re.compile(r"\b(?:is|are|was|were|appears?|remains?|seems?|looks?)\b", re.IGNORECASE)


def _join_anatomies(sentence: str, marks: Sequence[Mark], vocabulary: Vocabulary) -> Iterator[tuple[Mark, list[Mark]]]:
    """Yield each quality with its anatomies: those before it that have no quality yet, or else those after it."""
    waiting: list[Mark] = []
    taken: list[Mark] = []
    for index, mark in enumerate(marks):
        phrase = mark.phrase
        if phrase.role is Role.FINDING and not _is_outside(phrase, vocabulary):
            waiting = []  # in "the lungs show an infiltrate, the heart is normal" the lungs are not normal
        elif phrase.role is Role.ANATOMY and mark not in taken:
            waiting.append(mark)
        elif phrase.role is Role.QUALITY:
            before = [anatomy for anatomy in waiting if _can_be(anatomy, mark, vocabulary)]
            after = list(_following_anatomies(marks, index, vocabulary))
            if before and not (after and _is_attribute(sentence, before[-1], mark, after[0])):
                waiting = []
                yield mark, before
            else:
                taken += after
                yield mark, after


def _is_outside(phrase: Phrase, vocabulary: Vocabulary) -> bool:
    """Return whether all findings of a phrase are outside the label set: "the lungs are emphysematous but clear"."""
    return bool(phrase.claims) and all(finding in vocabulary.outside for finding, _ in phrase.claims)


def _can_be(anatomy: Mark, quality: Mark, vocabulary: Vocabulary) -> bool:
    return (anatomy.phrase.name, quality.phrase.name) in vocabulary.qualities


def _following_anatomies(marks: Sequence[Mark], index: int, vocabulary: Vocabulary) -> Iterator[Mark]:
    for mark in marks[index + 1 :]:
        if mark.clause != marks[index].clause or mark.phrase.role in (Role.QUALITY, Role.FINDING, Role.VERB):
            return
        if mark.phrase.role is Role.ANATOMY and _can_be(mark, marks[index], vocabulary):
            yield mark


def _is_attribute(sentence: str, before: Mark, quality: Mark, after: Mark) -> bool:
    """Return whether a quality is an attribute of the anatomy after it (`clear lungs`), without a verb before it."""
    adjoins = sentence[quality.phrase.end : after.phrase.start].isspace()
    return adjoins and not _COPULA.search(sentence, before.phrase.end, quality.phrase.start)
