"""What a sentence says of each finding, by name or through a place.

What is said of a place ("heart size and mediastinal contours are normal") is joined to the places named before it, else
to those after it ("normal heart size and mediastinal contours").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

from report_gen.labeling.negation import DENIED, NOT_MENTIONED, Mark, mark_phrases
from report_gen.labeling.phrases import (
    ABNORMALITY,
    BONE_ABNORMALITY,
    NO_FINDING,
    OUTSIDE,
    Phrase,
    Role,
    load_vocabulary,
)
from report_gen.records.report import FURTHER, FindingState
from report_gen.records.study import Laterality


@dataclass(frozen=True, slots=True)
class Statement:
    """One finding as one phrase of a sentence states it."""

    finding: str
    """One of `report.FINDINGS`, or `OUTSIDE`."""
    state: FindingState
    laterality: Laterality
    start: int
    end: int
    """The phrase is `sentence[start:end]`."""
    implied: bool
    """The phrase speaks of a place ("lungs are clear") and not of the finding."""


@lru_cache(maxsize=65536)  # Reports repeat themselves: three sentences of four have been seen before.
def read_sentence(sentence: str) -> tuple[Statement, ...]:
    """All statements of a sentence, in the order of their phrases."""
    marks = mark_phrases(sentence)
    sides = _sides(sentence, marks)
    claims = [*_stated(marks), *_implied(sentence, marks)]
    unpaired = load_vocabulary().unpaired
    return tuple(
        Statement(
            finding=claim.finding,
            state=claim.state,
            laterality=Laterality.UNPAIRED if claim.finding in unpaired else sides[claim.phrase.start],
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


_DENIAL_MEANS = {ABNORMALITY: (NO_FINDING, FindingState.PRESENT), BONE_ABNORMALITY: ("Fracture", DENIED)}
"""What it means that nothing is wrong; that something is wrong means nothing until it has a name."""


def _stated(marks: Sequence[Mark]) -> Iterator[_Claim]:
    """Claims of the phrases that name a finding."""
    for mark in marks:
        if mark.turn is NOT_MENTIONED:
            continue
        for finding, state in mark.phrase.claims:
            if finding not in _DENIAL_MEANS:
                yield _Claim(mark.phrase, finding, mark.turn or state, implied=False)
            elif mark.turn is DENIED:
                yield _Claim(mark.phrase, *_DENIAL_MEANS[finding], implied=True)


def _implied(sentence: str, marks: Sequence[Mark]) -> Iterator[_Claim]:
    """Claims of the qualities said of places."""
    qualities = load_vocabulary().qualities
    for quality, places in _join_places(sentence, marks):
        for place in places:
            for finding, state in qualities[place.phrase.name, quality.phrase.name]:
                if turned := _turn_quality(state, quality.turn):
                    yield _Claim(quality.phrase, finding, turned, implied=True)


def _turn_quality(state: FindingState, turn: FindingState | None) -> FindingState | None:
    """`not enlarged` denies, `may be enlarged` hedges; `not normal` and `may be normal` say nothing that has a name."""
    if turn is None:
        return state
    return None if turn is NOT_MENTIONED or state is DENIED else turn


_COPULA = re.compile(r"\b(?:is|are|was|were|appears?|remains?|seems?|looks?)\b", re.IGNORECASE)


def _join_places(sentence: str, marks: Sequence[Mark]) -> Iterator[tuple[Mark, list[Mark]]]:
    """Each quality with the places that it is said of: those named before it and still waiting, else those after it."""
    waiting: list[Mark] = []
    taken: list[Mark] = []
    for index, mark in enumerate(marks):
        phrase = mark.phrase
        if phrase.role is Role.FINDING and not _is_outside(phrase):
            waiting = []  # "The lungs show an infiltrate, the heart is normal" does not call the lungs normal.
        elif phrase.role is Role.ANATOMY and mark not in taken:
            waiting.append(mark)
        elif phrase.role is Role.QUALITY:
            before = [place for place in waiting if _can_be(place, mark)]
            after = list(_following_places(marks, index))
            if before and not (after and _is_attribute(sentence, before[-1], mark, after[0])):
                waiting = []
                yield mark, before
            else:
                taken += after
                yield mark, after


def _is_outside(phrase: Phrase) -> bool:
    """Whether a phrase names nothing of CheXpert's: "the lungs are emphysematous but clear" is said of the lungs."""
    return all(finding in (OUTSIDE, *FURTHER) for finding, _ in phrase.claims)


def _can_be(place: Mark, quality: Mark) -> bool:
    return (place.phrase.name, quality.phrase.name) in load_vocabulary().qualities


def _following_places(marks: Sequence[Mark], index: int) -> Iterator[Mark]:
    for mark in marks[index + 1 :]:
        if mark.clause != marks[index].clause or mark.phrase.role in (Role.QUALITY, Role.FINDING, Role.VERB):
            return
        if mark.phrase.role is Role.ANATOMY and _can_be(mark, marks[index]):
            yield mark


def _is_attribute(sentence: str, before: Mark, quality: Mark, after: Mark) -> bool:
    """Whether a quality stands right before a place and no verb joins it to the one before: `film with clear lungs`."""
    adjoins = sentence[quality.phrase.end : after.phrase.start].isspace()
    return adjoins and not _COPULA.search(sentence, before.phrase.end, quality.phrase.start)


_SIDE_WITHIN = re.compile(r"\b(left|right|both|bilateral)\b", re.IGNORECASE)


def _sides(sentence: str, marks: Sequence[Mark]) -> Mapping[int, Laterality]:
    """Side by the start of each finding or quality: from the words before it, up to the last one, else after it."""
    sides: dict[int, Laterality] = {}
    for _, clause in groupby(marks, key=lambda mark: mark.clause):
        waiting: list[str] = []
        last: int | None = None
        for phrase in (mark.phrase for mark in clause):
            if phrase.role is Role.SIDE:
                waiting.append(phrase.name)
            elif phrase.role is Role.IGNORED:  # `in the left lung` is set aside as a place, not as a side.
                waiting += _SIDE_WITHIN.findall(sentence, phrase.start, phrase.end)
            elif phrase.role in (Role.FINDING, Role.QUALITY):
                if last is not None and sides[last] is Laterality.UNKNOWN:
                    sides[last], waiting = _side(waiting), []
                within = _SIDE_WITHIN.findall(sentence, phrase.start, phrase.end)
                sides[phrase.start] = _side([*waiting, *within])
                waiting, last = [], phrase.start
        if last is not None and sides[last] is Laterality.UNKNOWN:
            sides[last] = _side(waiting)
    return sides


def _side(words: Sequence[str]) -> Laterality:
    named = {word.lower() for word in words}
    if not named:
        return Laterality.UNKNOWN
    if named in ({"left"}, {"right"}):
        return Laterality.LEFT if "left" in named else Laterality.RIGHT
    return Laterality.BOTH
