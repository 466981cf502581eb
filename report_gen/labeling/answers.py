"""Read forms, in which a finding is a label and a word answers it: `Pleural effusion: No.`, `Edema (none)`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from report_gen.labeling.marks import NOT_MENTIONED, Mark
from report_gen.labeling.phrases import Role


def read_answers(sentence: str, marks: Sequence[Mark]) -> None:
    """Let an answer deny the finding before it and begin a new clause, and drop labels that the text repeats.

    In "Pneumothorax: No left pneumothorax" the label states nothing.
    """
    if not _MAY_ANSWER.search(sentence):
        return
    for index, mark in enumerate(marks):
        if _is_label(sentence, marks, index):
            mark.after = NOT_MENTIONED
        elif _is_denial(sentence, mark) and _follows_finding(sentence, marks, index):
            mark.phrase = mark.phrase._replace(role=Role.NEGATED_AFTER)
            for later in marks[index + 1 :]:
                later.clause += 1


_NAMING = (Role.FINDING, Role.ANATOMY, Role.QUALITY)
_MAY_ANSWER = re.compile(r"[:=?(\t]|\s[-\u2013\u2014]\s")
_SEPARATOR = re.compile(r"(?:[:=?(\t]|\s[-\u2013\u2014])\s*$")
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
    """Return whether the last phrase of the clause before an answer is a finding, with a separator between them."""
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
