"""Read forms, in which a finding is a label and a word answers it: `Pleural effusion: No.`, `Edema (none)`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from report_gen.labeling.marks import DENIED, NOT_MENTIONED, Mark
from report_gen.labeling.phrases import Role


def read_answers(sentence: str, marks: Sequence[Mark]) -> None:
    """Let an answer deny the finding before it and begin a new clause, and drop labels that the text repeats.

    In "Pneumothorax: No left pneumothorax" the label states nothing.
    """
    if not _MAY_ANSWER.search(sentence):
        return
    for index, mark in enumerate(marks):
        answer = _ANSWER.match(sentence, mark.phrase.end) if mark.phrase.role is Role.FINDING else None
        if answer:
            _answer(marks[index:], answer)
        elif _is_label(sentence, marks, index):
            mark.after = NOT_MENTIONED
        elif _is_denial(sentence, mark) and _follows_finding(sentence, marks, index):
            mark.phrase = mark.phrase._replace(role=Role.NEGATED_AFTER)
            for later in marks[index + 1 :]:
                later.clause += 1


def _answer(marks: Sequence[Mark], answer: re.Match[str]) -> None:
    """Give the first of the marks the state of an answer that is no phrase of the vocabulary, and end its clause."""
    if answer.lastgroup != "yes":
        marks[0].after = DENIED if answer.lastgroup == "no" else NOT_MENTIONED
    for later in marks[1:]:
        later.clause += 1
        if later.phrase.start < answer.end():
            later.phrase = later.phrase._replace(role=Role.IGNORED)


_NAMING = (Role.FINDING, Role.ANATOMY, Role.QUALITY)
_MAY_ANSWER = re.compile(
    r"[:=?(|\t]|\s[-\u2013\u2014]\s|[.]{2}|\b(?:no|neg|negative)\s*(?:[.,;)!|\n]|$)", re.IGNORECASE
)
_SEPARATORS = r"(?:[:=?(|\t]|\s[-\u2013\u2014](?=\s)|[.]{2,})"
_SEPARATOR = re.compile(rf"{_SEPARATORS}\s*$|^\s+$")
# Answers that are no words of a report: figures, signs, ticked boxes, and that nobody looked.
_ANSWER = re.compile(
    rf"\s*{_SEPARATORS}\s*(?:(?P<no>false|0|[-\u2013\u2014\u2212]|\[x\]\s*no(?:\s*\[\s*\]\s*yes)?"
    r"|\[\s*\]\s*yes\s*\[x\]\s*no)"
    r"|(?P<yes>\[x\]\s*yes(?:\s*\[\s*\]\s*no)?|\[\s*\]\s*no\s*\[x\]\s*yes)"
    r"|(?P<unknown>unknown|not\s+(?:evaluated|assessed|evaluable|assessable|applicable|known|reported)"
    r"|(?:cannot|can not)\s+be\s+(?:assessed|evaluated|determined)))"
    r"(?=\s*(?:[,;)!|\n]|[.](?!\d)|$))",
    re.IGNORECASE,
)
_ANSWER_END = re.compile(r"\s*(?:[.,;)!|\n]|$|[A-Z][\w /]*:)")
_LABEL = re.compile(r"\W*(?:[\w/-]+\s+){0,3}$")
_COLON = re.compile(r"\s*:")


def _is_denial(sentence: str, mark: Mark) -> bool:
    """Return whether a word is an answer that denies: `no`, `none`, `absent`, `negative` up to the end of its field."""
    phrase = mark.phrase
    words = sentence[phrase.start : phrase.end].lower()
    denies = phrase.role in (Role.NEGATED_BEFORE, Role.NEGATED_AFTER) or words == "negative"
    return denies and _ANSWER_END.match(sentence, phrase.end) is not None


def _follows_finding(sentence: str, marks: Sequence[Mark], index: int) -> bool:
    """Return whether a finding is the last phrase of the clause before an answer; at most a separator is between."""
    mark = marks[index]
    before = [other for other in marks[:index] if other.clause == mark.clause and other.phrase.role in _NAMING]
    if not before or before[-1].phrase.role is not Role.FINDING:
        return False
    return _SEPARATOR.search(sentence[before[-1].phrase.end : mark.phrase.start]) is not None


def _is_label(sentence: str, marks: Sequence[Mark], index: int) -> bool:
    """Return whether a finding before a colon begins the sentence and is named again after the colon."""
    phrase = marks[index].phrase
    if (
        phrase.role is not Role.FINDING
        or not _COLON.match(sentence, phrase.end)
        or not _LABEL.match(sentence[: phrase.start])
    ):
        return False
    named = {finding for finding, _ in phrase.claims}
    return any(named & {finding for finding, _ in later.phrase.claims} for later in marks[index + 1 :])
