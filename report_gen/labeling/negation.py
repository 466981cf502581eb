"""Find the phrases of a sentence and the cues that modify them: denials, hedges and questions.

A cue modifies phrases after it or before it in the same clause. Clauses end at words such as `but` and `with`, and
after an answer ("effusion: no, edema: yes"). Within a denial, a new statement may also begin at a comma ("no effusion,
mild cardiomegaly"). The approach is that of NegEx (Chapman et al., J Biomed Inform 2001) with more cues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from report_gen.labeling.answers import read_answers
from report_gen.labeling.marks import DENIED, HEDGED, NOT_MENTIONED, STATED, Mark
from report_gen.labeling.phrases import Phrase, Role, Vocabulary
from report_gen.labeling.prior_studies import read_prior_studies


def mark_phrases(sentence: str, vocabulary: Vocabulary) -> list[Mark]:
    """Return the phrases of a sentence in order, each with the states from the cues that modify it."""
    marks = list(_mark_clauses(sentence, vocabulary))
    read_answers(sentence, marks)
    _reverse_stray_cues(sentence, marks)
    _modify_forward(sentence, marks, vocabulary)
    _modify_backward(marks)
    _hedge_alternatives(sentence, marks)
    read_prior_studies(sentence, marks)
    _read_exceptions(sentence, marks)
    return marks


_FORWARD = {
    Role.STATED_BEFORE: STATED,
    Role.PAST_BEFORE: NOT_MENTIONED,
    Role.NEGATED_BEFORE: DENIED,
    Role.UNCERTAIN_BEFORE: HEDGED,
    Role.UNCERTAIN_PHRASE: HEDGED,
    Role.NOT_MENTIONED_BEFORE: NOT_MENTIONED,
}
_BACKWARD = {Role.NEGATED_AFTER: DENIED, Role.UNCERTAIN_AFTER: HEDGED, Role.NOT_MENTIONED_AFTER: NOT_MENTIONED}
_HEDGES = (Role.UNCERTAIN_BEFORE, Role.UNCERTAIN_PHRASE)
_MODIFIABLE = (Role.FINDING, Role.QUALITY)

_BREAK = re.compile(r"[,:]|\band\b", re.IGNORECASE)
_OR = re.compile(r"\b(?:or|versus|vs)\b|/", re.IGNORECASE)
_STATEMENT_END = re.compile(r"\s*(?:[^\w\s]|$|(?:on|at|in|by|but|and)\b)", re.IGNORECASE)
_ASIDE_END = re.compile(r"\s*(?:[,.;:)]|$)")
_OR_NEXT = re.compile(r"\s*,?\s*(?:or|nor)\b", re.IGNORECASE)
_LIST_GOES_ON = re.compile(r",\s*(?:or|nor)\b", re.IGNORECASE)
_LIST_ENDS = re.compile(r",\s*(?:or|nor)\b.*,\s*$", re.IGNORECASE | re.DOTALL)
_LATER_OR = re.compile(r"\b(?:or|nor)\b", re.IGNORECASE)
_AFTER_COMMA = re.compile(r",\s*(?:the\s+|an?\s+)?$", re.IGNORECASE)
# After a comma, these words in a finding or after it state it: "no edema, enlarged heart"; "no edema, mass stable".
_AFFIRMED = re.compile(r"(?:enlarged|dilated|broken|fractured|collapsed|large|prior)\b", re.IGNORECASE)
_AFFIRMED_AFTER = re.compile(
    r"\s+(?:is |are |remains? |appears? |has |have )?(?:slightly |mildly |markedly )?"
    r"(?:unchanged|stable|persist\w*|worse|larger|smaller|increased|decreased|improved|worsened"
    r"|in (?:\w+ )?(?:place|position|situ))\b",
    re.IGNORECASE,
)
# After the first comma of a denial, or after a comma behind `or`, a verb with a place states a finding as well: "no
# edema, effusion is present", "no edema, mass noted on the left". A list does not: "no edema, mass, effusion seen".
_SEEN_AFTER = re.compile(
    r"\s+(?:(?:is|are) (?:also |clearly |again |now )?(?:present|seen|noted|identified|visible|demonstrated|evident)\b"
    r"|(?:seen|noted|identified|present|visible)\s+(?:on|in|at)\b)",
    re.IGNORECASE,
)
_SEEN = re.compile(r"\s+(?:(?:is|are)\s+)?(?:present|seen|noted|identified|visible)\b", re.IGNORECASE)
_OR_BEFORE_COMMA = re.compile(r"\b(?:or|nor)\b[^,]*,[^,]*$", re.IGNORECASE)
_AFTER_AND = re.compile(r"\band\s*$", re.IGNORECASE)
_SIZE = re.compile(r"(?:large|worsen|increas|decreas|improv|progress|extensive)", re.IGNORECASE)
_REMOVALS = ("removal", "withdrawal", "explantation")
_EXCEPTION = re.compile(
    r"\b(?:other than|apart from|aside from|except(?: for)?|with the exception of)\s+"
    r"(?:[^,;.]*?\bones?\b|(?:an?\s+)?(?:trace|(?:tiny|small|minimal)\s+amount)\b)",
    re.IGNORECASE,
)
_CHANGED = re.compile(
    r"\b(?:has|have) (?:\w+ly )?(?:changed|increased|decreased|progressed|worsened|improved|enlarged|grown)\b",
    re.IGNORECASE,
)

LONGEST_OR = 40
"""Maximum number of characters between two alternatives. Over a longer distance, `or` joins something else."""


def _mark_clauses(sentence: str, vocabulary: Vocabulary) -> Iterator[Mark]:
    clause = 0
    for phrase in vocabulary.find_phrases(sentence):
        if phrase.role is Role.SCOPE_END:
            clause += 1
        else:
            yield Mark(phrase, clause)


def _reverse_stray_cues(sentence: str, marks: Sequence[Mark]) -> None:
    """Reverse cues that have no finding on their usual side: `Effusion possible.`, `Pneumonia?`, `Resolved edema.`"""
    for index, mark in enumerate(marks):
        if mark.phrase.role in _HEDGES:
            ends = _STATEMENT_END.match(sentence, mark.phrase.end)
            if (ends and not _names_something(marks[index + 1 :], mark.clause)) or _is_aside(sentence, marks, index):
                mark.phrase = mark.phrase._replace(role=Role.UNCERTAIN_AFTER)
        elif mark.phrase.role is Role.NEGATED_BEFORE and _is_removal(sentence, marks, index):
            marks[
                index - 1
            ].after = DENIED  # only the device: in "effusion after chest tube removal" the effusion stays
            mark.phrase = mark.phrase._replace(role=Role.IGNORED)
        elif mark.phrase.role is Role.NEGATED_BEFORE and _is_unchanged(sentence, mark.phrase):
            mark.phrase = mark.phrase._replace(role=Role.STATED_BEFORE)
        elif mark.phrase.role is Role.NEGATED_AFTER and not _names_something(marks[:index], mark.clause):
            mark.phrase = mark.phrase._replace(role=Role.NEGATED_BEFORE)


def _is_aside(sentence: str, marks: Sequence[Mark], index: int) -> bool:
    """Return whether a hedge directly follows a finding and ends there: `a small effusion, if any, and edema`."""
    phrase = marks[index].phrase
    if index == 0 or marks[index - 1].phrase.role is not Role.FINDING or not _ASIDE_END.match(sentence, phrase.end):
        return False
    return not sentence[marks[index - 1].phrase.end : phrase.start].strip(" ,(\n")


def _is_removal(sentence: str, marks: Sequence[Mark], index: int) -> bool:
    """Return whether a word directly after a device says that it was removed: `chest tube removal`."""
    phrase = marks[index].phrase
    if index == 0 or sentence[phrase.start : phrase.end].lower() not in _REMOVALS:
        return False
    device = marks[index - 1].phrase
    return device.role is Role.FINDING and sentence[device.end : phrase.start].isspace()


def _is_unchanged(sentence: str, denial: Phrase) -> bool:
    """Return whether a denial concerns a change: `neither the effusion nor the edema has changed`."""
    return (
        sentence[denial.start : denial.end].lower() in ("neither", "nor")
        and _CHANGED.search(sentence, denial.end) is not None
    )


def _names_something(marks: Sequence[Mark], clause: int) -> bool:
    """Return whether a clause has a finding or a quality among these phrases."""
    return any(mark.clause == clause and mark.phrase.role in _MODIFIABLE for mark in marks)


def _modify_forward(sentence: str, marks: Sequence[Mark], vocabulary: Vocabulary) -> None:
    """Apply each forward cue to the findings and qualities after it, up to the end of its scope."""
    cue: Mark | None = None
    governed: int | None = None  # end of the last phrase that the cue has modified
    for index, mark in enumerate(marks):
        role = mark.phrase.role
        if cue is not None and _ends(sentence, marks, index, cue, governed, vocabulary):
            cue, governed = None, None
        if role in _FORWARD and (cue is None or _overrides(role, cue.phrase.role)):
            cue, governed = mark, None
        elif role in _MODIFIABLE and cue is not None:
            mark.before = _FORWARD[cue.phrase.role]
            if cue.phrase.role is Role.PAST_BEFORE and _is_device(mark, vocabulary):
                mark.before = STATED
            governed = mark.phrase.end


def _is_device(mark: Mark, vocabulary: Vocabulary) -> bool:
    """Return whether a phrase names an object that a procedure leaves in the patient: `s/p pacemaker`."""
    return any(finding in vocabulary.begins_statement for finding, _ in mark.phrase.claims)


def _overrides(role: Role, cue: Role) -> bool:
    """Return whether a cue replaces the one before it: a denial always does, a hedge replaces only a hedge.

    "No opacity to suggest edema" denies the edema, and "if there may be edema" is a question. Every cue replaces `no
    change in`.
    """
    return role is Role.NEGATED_BEFORE or cue is Role.STATED_BEFORE or (role in _HEDGES and cue in _HEDGES)


def _ends(
    sentence: str, marks: Sequence[Mark], index: int, cue: Mark, governed: int | None, vocabulary: Vocabulary
) -> bool:
    """Return whether the scope of a forward cue ends before the phrase at `index`."""
    mark = marks[index]
    role = mark.phrase.role
    if mark.clause != cue.clause:
        return True
    if cue.phrase.role is Role.PAST_BEFORE:
        return "," in sentence[cue.phrase.end : mark.phrase.start]
    if governed is None:
        return False
    between = sentence[governed : mark.phrase.start]
    if cue.phrase.role is Role.UNCERTAIN_PHRASE:
        return role is Role.FINDING and not between.isspace() and not _OR.search(between)
    if role is Role.VERB:
        return not _OR.search(between) and not _OR_NEXT.match(sentence, mark.phrase.end)
    if role is Role.ANATOMY:
        return _BREAK.search(between) is not None and _has_quality(marks, index)
    if cue.phrase.role is Role.UNCERTAIN_BEFORE or not _BREAK.search(between) or _OR.search(between):
        return False
    if _LIST_GOES_ON.search(sentence, mark.phrase.start):
        return False
    if role is Role.STATEMENT_START and _AFTER_AND.search(between) and _SIZE.match(sentence, mark.phrase.start):
        return True
    return _begins_anew(mark) or (
        _AFTER_COMMA.search(between) is not None
        and not _LATER_OR.search(sentence, mark.phrase.end)
        and _is_affirmed(sentence, mark, cue, vocabulary)
    )


def _is_affirmed(sentence: str, mark: Mark, cue: Mark, vocabulary: Vocabulary) -> bool:
    """Return whether a phrase after a comma in a denial is a statement of its own: `no effusion, enlarged heart`."""
    phrase = mark.phrase
    if phrase.role in (Role.SIDE, Role.STATEMENT_START):
        return True
    if phrase.role is not Role.FINDING:
        return False
    return (
        any(finding in vocabulary.begins_statement for finding, _ in phrase.claims)
        or _AFFIRMED.match(sentence, phrase.start) is not None
        or _AFFIRMED_AFTER.match(sentence, phrase.end) is not None
        or _LIST_ENDS.search(sentence[cue.phrase.end : phrase.start]) is not None
        or _is_seen(sentence[cue.phrase.end : phrase.start], sentence, phrase)
    )


def _is_seen(before: str, sentence: str, phrase: Phrase) -> bool:
    """Return whether a verb after a phrase states it, although the phrase follows a denial and a comma.

    Args:
        before: Text from the denial to the phrase.
        sentence: The sentence.
        phrase: A finding.
    """
    if _OR_BEFORE_COMMA.search(before):
        return _SEEN.match(sentence, phrase.end) is not None
    return before.count(",") == 1 and _SEEN_AFTER.match(sentence, phrase.end) is not None


def _has_quality(marks: Sequence[Mark], index: int) -> bool:
    """Return whether a quality follows the anatomy at `index` before any finding does."""
    for mark in marks[index + 1 :]:
        if mark.clause != marks[index].clause or mark.phrase.role is Role.FINDING:
            return False
        if mark.phrase.role is Role.QUALITY:
            return True
    return False


def _begins_anew(mark: Mark) -> bool:
    """Return whether a phrase may begin a new statement after a comma.

    The quality `prominent` may not: `no nodule, prominent vessel or scar` is one list.
    """
    role = mark.phrase.role
    return role in _HEDGES or role is Role.CLAUSE_START or (role is Role.QUALITY and mark.phrase.name != "prominent")


def _modify_backward(marks: Sequence[Mark]) -> None:
    """Apply each backward cue to the finding before it, and to earlier findings that no other cue modifies."""
    for index, cue in enumerate(marks):
        modifier = _BACKWARD.get(cue.phrase.role)
        if modifier is None:
            continue
        found = False
        for mark in reversed(marks[:index]):
            role = mark.phrase.role
            if mark.clause != cue.clause or (found and (role in (*_FORWARD, *_BACKWARD, Role.VERB) or mark.before)):
                break
            if role is Role.FINDING:
                mark.after, found = modifier, True


def _hedge_alternatives(sentence: str, marks: Sequence[Mark]) -> None:
    """Make two findings uncertain that `or` joins, unless one is denied: `atelectasis or pneumonia`."""
    findings = [mark for mark in marks if mark.phrase.role is Role.FINDING]
    for first, second in pairwise(findings):
        between = sentence[first.phrase.end : second.phrase.start]
        if first.clause != second.clause or len(between) > LONGEST_OR or not _OR.search(between):
            continue
        if {first.modifier, second.modifier} <= {None, HEDGED}:
            first.after = second.after = HEDGED


def _read_exceptions(sentence: str, marks: Sequence[Mark]) -> None:
    """State a denied finding that has an exception without a name: `no effusion other than a small left one`."""
    lowered = sentence.lower()  # a search for four words is faster than the pattern
    if not any(word in lowered for word in ("except", "other than", "apart from", "aside from")):
        return
    for exception in _EXCEPTION.finditer(sentence):
        before = [mark for mark in marks if mark.phrase.role is Role.FINDING and mark.phrase.end <= exception.start()]
        named = any(
            mark.phrase.role in _MODIFIABLE and exception.start() <= mark.phrase.start < exception.end()
            for mark in marks
        )
        if before and before[-1].modifier is DENIED and not named:
            before[-1].after = STATED
