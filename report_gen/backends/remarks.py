"""Recognize sentences of chat models that describe no image: refusals, disclaimers, greetings and offers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files

_VOCABULARY: Mapping[str, list[str]] = tomllib.loads(
    (files(__package__) / "vocabularies" / "remarks.toml").read_text(encoding="utf-8")
)
_APOSTROPHES = str.maketrans("\u2018\u2019\u02bc", "'''")


def _any_of(patterns: Iterable[str], end: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(patterns)}){end}", re.IGNORECASE)


_INABILITY = rf"(?:{'|'.join(_VOCABULARY['inabilities'])}) ?(?:\w+ly )?(?:{'|'.join(_VOCABULARY['acts'])})"
_REFUSAL = _any_of([_INABILITY, *_VOCABULARY["refusals"]], r"(?!\w)")
_REMARK = _any_of(_VOCABULARY["remarks"], r"(?!\w)")
_INTRODUCTION = _any_of(_VOCABULARY["introductions"], "")
_DESCRIBING = _any_of(map(re.escape, _VOCABULARY["describing"]), "")
_OF_IMAGES = _any_of(map(re.escape, _VOCABULARY["images"]), "")
_ENDING = re.compile(rf"\w(?:{'|'.join(_VOCABULARY['endings'])})(?!\w)", re.IGNORECASE)
_PERSONAL = re.compile(r"\b(?:I|me|my|you|your)\b(?![.)])", re.IGNORECASE)
_LATIN = re.compile(r"[A-Za-z]")
_LETTER = re.compile(r"[^\W\d_]")
_LONGEST = 2000
"""Largest number of characters of a sentence that are searched."""


def is_refusal(sentence: str) -> bool:
    """Return whether the model says in a sentence that it does not answer, or that it has no image."""
    return _matches(_REFUSAL, sentence)


def is_remark(sentence: str) -> bool:
    """Return whether a sentence is a greeting, an introduction, an offer, a disclaimer or advice to a patient."""
    return _matches(_REMARK, sentence) or _matches(_INTRODUCTION, sentence)


def content_start(sentence: str) -> int:
    """Return where a sentence begins to describe the images: after an introduction, or after an excuse with "but".

    "Here is the report: The lungs are clear." describes them from "The", "I am not a doctor, but the lungs are clear."
    from "the". Other sentences begin at 0, also those that describe nothing.
    """
    introduction, colon, rest = sentence.partition(":")
    if colon and _matches(_INTRODUCTION, introduction + colon) and rest.strip():
        return len(introduction) + 1
    excuse, but, rest = sentence.partition(" but ")
    if but and is_refusal(excuse) and not is_refusal(rest) and not is_remark(rest) and may_describe_images(rest):
        return len(excuse) + len(but)
    return 0


def may_describe_images(sentence: str) -> bool:
    """Return whether a sentence has a word that occurs in reports, or is not in the Latin script.

    Words about images do not count if the model speaks of itself or to the user: "I only received text, no image".
    """
    letters, latin = len(_LETTER.findall(sentence)), len(_LATIN.findall(sentence))
    if 2 * latin < letters:
        return True
    patterns = (_DESCRIBING, _ENDING) if _matches(_PERSONAL, sentence) else (_DESCRIBING, _ENDING, _OF_IMAGES)
    return any(pattern.search(sentence) for pattern in patterns)


def _matches(pattern: re.Pattern[str], sentence: str) -> bool:
    return pattern.search(sentence[:_LONGEST].translate(_APOSTROPHES)) is not None
