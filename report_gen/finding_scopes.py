"""What one sentence says of each finding: which cue reaches which phrase.

A cue reaches forwards or backwards inside its clause. Clauses end at words such as `but` and `with`; inside a denial a new
statement may also begin at a comma ("no effusion, mild cardiomegaly"). What is said of a place ("heart size and mediastinal
contours are normal") is joined to the places named before it, else to those after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise

from report_gen.finding_phrases import ABNORMALITY, BONE_ABNORMALITY, OUTSIDE, Phrase, Role, Vocabulary, load_vocabulary
from report_gen.report import FindingState
from report_gen.study import Laterality

DENIED, HEDGED, UNSAID = FindingState.ABSENT, FindingState.UNCERTAIN, FindingState.NOT_MENTIONED
"""What a cue makes of a phrase. None leaves it as it stands."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One finding as one phrase of a sentence states it."""

    finding: str
    """One of `report.FINDINGS`, or `OUTSIDE`."""
    state: FindingState
    laterality: Laterality
    start: int
    end: int
    implied: bool
    """The phrase speaks of a place ("lungs are clear") and not of the finding."""


@dataclass(slots=True)
class _Mark:
    """A phrase on the way to its meaning."""

    phrase: Phrase
    clause: int
    before: FindingState | None = None
    after: FindingState | None = None

    @property
    def turn(self) -> FindingState | None:
        return self.before if self.after is None else self.after


@lru_cache(maxsize=65536)  # Reports repeat themselves: three sentences of four have been seen before.
def read_sentence(sentence: str) -> tuple[Statement, ...]:
    """All statements of a sentence, in the order of their phrases."""
    vocabulary = load_vocabulary()
    marks = list(_mark_clauses(sentence, vocabulary))
    _turn_stray_cues(marks)
    _reach_forward(sentence, marks)
    _reach_back(sentence, marks)
    _hedge_alternatives(sentence, marks)
    sides = _sides(marks)
    statements = [
        *_stated(marks, sides, vocabulary),
        *_implied(sentence, marks, sides, vocabulary),
    ]
    return tuple(sorted(statements, key=lambda statement: statement.start))


def _mark_clauses(sentence: str, vocabulary: Vocabulary) -> Iterator[_Mark]:
    clause = 0
    for phrase in vocabulary.find_phrases(sentence):
        if phrase.role is Role.SCOPE_END:
            clause += 1
        elif phrase.role is not Role.IGNORED:
            yield _Mark(phrase, clause)


def _turn_stray_cues(marks: Sequence[_Mark]) -> None:
    """A cue with nothing on its side looks to the other: `Effusion possible.`, `Pneumonia?`, `Resolved edema.`"""
    for index, mark in enumerate(marks):
        if mark.phrase.role in _HEDGES and not _names_something(marks[index + 1 :], mark.clause):
            mark.phrase = replace(mark.phrase, role=Role.UNCERTAIN_AFTER)
        elif mark.phrase.role is Role.NEGATED_AFTER and not _names_something(marks[:index], mark.clause):
            mark.phrase = replace(mark.phrase, role=Role.NEGATED_BEFORE)


def _names_something(marks: Sequence[_Mark], clause: int) -> bool:
    return any(mark.clause == clause and mark.phrase.role in (Role.FINDING, Role.QUALITY) for mark in marks)


# What a forward cue makes of the phrases after it.
_FORWARD = {
    Role.NEGATED_BEFORE: DENIED,
    Role.UNCERTAIN_BEFORE: HEDGED,
    Role.UNCERTAIN_PHRASE: HEDGED,
    Role.UNSAID_BEFORE: UNSAID,
}
_BACKWARD = {Role.NEGATED_AFTER: DENIED, Role.UNCERTAIN_AFTER: HEDGED, Role.UNSAID_AFTER: UNSAID}
_HEDGES = (Role.UNCERTAIN_BEFORE, Role.UNCERTAIN_PHRASE)
_BREAK = re.compile(r"[,:]|\band\b", re.IGNORECASE)
_LIST_GOES_ON = re.compile(r",\s*(?:or|nor)\b", re.IGNORECASE)
_OR_NEXT = re.compile(r"\s*,?\s*(?:or|nor)\b", re.IGNORECASE)
_OR_WITHIN = re.compile(r"\b(?:or|versus|vs)\b|/", re.IGNORECASE)


def _reach_forward(sentence: str, marks: Sequence[_Mark]) -> None:
    """Sets `before` of findings and qualities."""
    cue: _Mark | None = None
    governed: int | None = None  # End of the last phrase that the cue has turned.
    for index, mark in enumerate(marks):
        role = mark.phrase.role
        if cue is not None and _ends(sentence, marks, index, cue, governed):
            cue, governed = None, None
        if role in _FORWARD and (cue is None or _overrides(role, cue.phrase.role)):
            cue, governed = mark, None
        elif role in (Role.FINDING, Role.QUALITY) and cue is not None:
            mark.before = _FORWARD[cue.phrase.role]
            governed = mark.phrase.end


def _overrides(role: Role, cue: Role) -> bool:
    """A denial overrides all; a hedge no denial ("no opacity to suggest pneumonia") and no question ("if there may be")."""
    return role is Role.NEGATED_BEFORE or (role in _HEDGES and cue in _HEDGES)


def _ends(sentence: str, marks: Sequence[_Mark], index: int, cue: _Mark, governed: int | None) -> bool:
    """Whether the reach of a forward cue ends before the phrase at `index`."""
    mark = marks[index]
    role, start = mark.phrase.role, mark.phrase.start
    if mark.clause != cue.clause:
        return True
    if governed is None:
        return False
    between = sentence[governed:start]
    if cue.phrase.role is Role.UNCERTAIN_PHRASE:
        return role is Role.FINDING and not _OR_WITHIN.search(between)
    if role is Role.VERB:
        return not _OR_WITHIN.search(between) and not _OR_NEXT.match(sentence, mark.phrase.end)
    if role is Role.ANATOMY:
        return bool(_BREAK.search(between)) and _has_quality(marks, index)
    if cue.phrase.role is Role.UNCERTAIN_BEFORE:
        return False
    begins = role in _HEDGES or role is Role.FRESH or (role is Role.QUALITY and mark.phrase.name != "prominent")
    return (
        begins
        and bool(_BREAK.search(between))
        and not _OR_WITHIN.search(between)
        and not _LIST_GOES_ON.search(sentence, start)
    )


def _has_quality(marks: Sequence[_Mark], index: int) -> bool:
    """Whether a quality is said of the place at `index` before any finding is named."""
    for mark in marks[index + 1 :]:
        if mark.clause != marks[index].clause or mark.phrase.role is Role.FINDING:
            return False
        if mark.phrase.role is Role.QUALITY:
            return True
    return False


def _reach_back(sentence: str, marks: Sequence[_Mark]) -> None:
    """Sets `after` of the finding before each backward cue, and of those joined to it by commas, `and`, `or`."""
    for index, mark in enumerate(marks):
        turn = _BACKWARD.get(mark.phrase.role)
        if turn is None:
            continue
        nearest: _Mark | None = None
        for earlier in reversed(marks[:index]):
            role = earlier.phrase.role
            if earlier.clause != mark.clause or (nearest is not None and role in (*_FORWARD, *_BACKWARD, Role.VERB)):
                break
            if role is Role.FINDING:
                if nearest is not None and earlier.before is not None:
                    break
                earlier.after, nearest = turn, earlier


def _hedge_alternatives(sentence: str, marks: Sequence[_Mark]) -> None:
    """`atelectasis or pneumonia`: each of two findings that are neither denied nor hedged is uncertain."""
    findings = [mark for mark in marks if mark.phrase.role is Role.FINDING]
    for first, second in pairwise(findings):
        between = sentence[first.phrase.end : second.phrase.start]
        if first.clause != second.clause or len(between) > _LONGEST_OR or not _OR_WITHIN.search(between):
            continue
        if {first.turn, second.turn} <= {None, HEDGED}:
            first.after = second.after = HEDGED


_LONGEST_OR = 40
"""Characters between two alternatives; farther apart the `or` joins something else."""


def _sides(marks: Sequence[_Mark]) -> dict[int, Laterality]:
    """Side of each phrase by its start: from the side words before it back to the last finding, else from those after."""
    sides: dict[int, Laterality] = {}
    for _, group in groupby(marks, key=lambda mark: mark.clause):
        waiting: list[str] = []
        last: int | None = None
        for phrase in (mark.phrase for mark in group):
            if phrase.role is Role.SIDE:
                waiting.append(phrase.name)
            elif phrase.role in (Role.FINDING, Role.QUALITY):
                if last is not None and sides[last] is Laterality.UNKNOWN:
                    sides[last] = _side(waiting)
                    waiting = []
                sides[phrase.start] = _side(waiting)
                waiting, last = [], phrase.start
        if last is not None and sides[last] is Laterality.UNKNOWN:
            sides[last] = _side(waiting)
    return sides


def _side(names: Sequence[str]) -> Laterality:
    if not names:
        return Laterality.UNKNOWN
    if "both" in names or {"left", "right"} <= set(names):
        return Laterality.BOTH
    return Laterality.LEFT if "left" in names else Laterality.RIGHT


def _stated(marks: Sequence[_Mark], sides: dict[int, Laterality], vocabulary: Vocabulary) -> Iterator[Statement]:
    """Statements of the phrases that name a finding."""
    for mark in marks:
        phrase = mark.phrase
        for finding, state in phrase.claims:
            if mark.turn is UNSAID:
                continue
            state = mark.turn or state
            if finding == ABNORMALITY or finding == BONE_ABNORMALITY:
                if state is not DENIED:
                    continue
                yield _statement(
                    phrase,
                    *(("No Finding", FindingState.PRESENT) if finding == ABNORMALITY else ("Fracture", DENIED)),
                    sides,
                    vocabulary,
                    implied=True,
                )
            else:
                yield _statement(phrase, finding, state, sides, vocabulary, implied=False)


def _implied(
    sentence: str, marks: Sequence[_Mark], sides: dict[int, Laterality], vocabulary: Vocabulary
) -> Iterator[Statement]:
    """Statements of the qualities said of places."""
    for quality, places in _join_places(sentence, marks, vocabulary):
        for place in places:
            for finding, state in vocabulary.qualities[place.phrase.name, quality.phrase.name]:
                said = _turn_quality(state, quality.turn)
                if said is not None:
                    yield _statement(quality.phrase, finding, said, sides, vocabulary, implied=True)


_COPULA = re.compile(r"\b(?:is|are|was|were|appears?|remains?|seems?|looks?)\b", re.IGNORECASE)


def _join_places(
    sentence: str, marks: Sequence[_Mark], vocabulary: Vocabulary
) -> Iterator[tuple[_Mark, list[_Mark]]]:
    """Each quality with the places that it is said of: those named before it and still waiting, else those after it."""
    waiting: list[_Mark] = []
    taken: set[int] = set()
    for index, mark in enumerate(marks):
        phrase = mark.phrase
        if phrase.role is Role.FINDING and not _is_outside(phrase):
            waiting = []  # "The lungs show an infiltrate, the heart is normal" does not call the lungs normal.
        elif phrase.role is Role.ANATOMY and index not in taken:
            waiting.append(mark)
        elif phrase.role is Role.QUALITY:
            before = [place for place in waiting if (place.phrase.name, phrase.name) in vocabulary.qualities]
            after = list(_following_places(marks, index, vocabulary))
            if before and not (after and _is_attribute(sentence, before[-1], mark, marks[after[0]])):
                waiting = []
                yield mark, before
            else:
                taken.update(after)
                yield mark, [marks[position] for position in after]


def _is_attribute(sentence: str, before: _Mark, quality: _Mark, after: _Mark) -> bool:
    """Whether a quality stands right before a place and no verb joins it to the one before (`radiograph with clear lungs`)."""
    return sentence[quality.phrase.end : after.phrase.start].isspace() and not _COPULA.search(
        sentence, before.phrase.end, quality.phrase.start
    )


def _is_outside(phrase: Phrase) -> bool:
    return all(finding == OUTSIDE for finding, _ in phrase.claims)


def _following_places(marks: Sequence[_Mark], index: int, vocabulary: Vocabulary) -> Iterator[int]:
    for position in range(index + 1, len(marks)):
        mark = marks[position]
        if mark.clause != marks[index].clause or mark.phrase.role in (Role.QUALITY, Role.FINDING, Role.VERB):
            return
        if mark.phrase.role is Role.ANATOMY and (mark.phrase.name, marks[index].phrase.name) in vocabulary.qualities:
            yield position


def _turn_quality(state: FindingState, turn: FindingState | None) -> FindingState | None:
    """`not enlarged` denies; `not normal` says nothing that can be named."""
    if turn is None:
        return state
    if turn is DENIED and state in (FindingState.PRESENT, FindingState.UNCERTAIN):
        return DENIED
    return HEDGED if turn is HEDGED else None


def _statement(
    phrase: Phrase,
    finding: str,
    state: FindingState,
    sides: dict[int, Laterality],
    vocabulary: Vocabulary,
    *,
    implied: bool,
) -> Statement:
    unpaired = finding in vocabulary.unpaired
    side = Laterality.UNPAIRED if unpaired else sides.get(phrase.start, Laterality.UNKNOWN)
    return Statement(finding, state, side, phrase.start, phrase.end, implied)


__all__ = ["OUTSIDE", "Statement", "read_sentence"]
