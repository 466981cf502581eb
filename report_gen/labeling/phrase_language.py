"""The phrase language of the vocabularies, compiled to regular expressions; the head of `cues.toml` describes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Meaning = TypeVar("Meaning")

BEGINNING = 2
"""Number of letters by which phrases are found."""

FIRST_WORD = re.compile(r"\w+|[^\w\s]")
"""Pattern of a word, or of a punctuation mark."""

_GAP = r"[\s\-]+"
_PIECE = re.compile(r"\[([^\]]+)\]|\(([^)]+)\)|(\S+)")


@dataclass(frozen=True)
class PhraseIndex(Generic[Meaning]):
    """Compiled phrases with their meanings."""

    patterns: Mapping[str, re.Pattern[str]]
    """Pattern of all phrases that begin with the same two letters, by these. One pattern for all is far slower."""
    meanings: Mapping[str, tuple[Meaning, ...]]
    """Meaning of each group of a pattern, in order, by the two letters."""


def build_phrase_index(meanings: Mapping[str, Meaning]) -> PhraseIndex[Meaning]:
    """Compile phrases.

    Args:
        meanings: Meaning of each phrase. The phrases are `phrase_variants`.
    """
    phrases: dict[str, list[str]] = {}
    for phrase in sorted(meanings, key=phrase_precedence):
        for beginning in phrase_beginnings(phrase):
            phrases.setdefault(beginning, []).append(phrase)
    return PhraseIndex(
        patterns={
            beginning: re.compile("|".join(f"({phrase_pattern(phrase, beginning)})" for phrase in group))
            for beginning, group in phrases.items()
        },
        meanings={beginning: tuple(meanings[phrase] for phrase in group) for beginning, group in phrases.items()},
    )


def phrase_variants(phrase: str) -> list[str]:
    """Return phrases that match the same texts, each with one number of words, so that they can be sorted by it."""
    variants = [""]
    for piece in _PIECE.finditer(phrase):
        choices = [piece[0]]
        if piece[2]:
            by_words: dict[int, list[str]] = {}
            for alternative in piece[2].split("|"):
                by_words.setdefault(len(alternative.split()), []).append(alternative)
            choices = [f"({'|'.join(alternatives)})" for alternatives in by_words.values()]
        variants = [f"{variant} {choice}".strip() for variant in variants for choice in choices]
    return variants


def phrase_precedence(phrase: str) -> tuple[int, int, str]:
    """Return a sort key that puts phrases of more words first, so that `no change` is tried before `no`.

    Args:
        phrase: One of the `phrase_variants`.
    """
    words = sum(
        len((group or word).split("|")[0].split()) for optional, group, word in _PIECE.findall(phrase) if not optional
    )
    return -words, -len(phrase), phrase


def phrase_beginnings(phrase: str) -> set[str]:
    """Return the beginnings with which a phrase can start: of its first word and of optional words before it."""
    beginnings: set[str] = set()
    for optional, group, word in _PIECE.findall(phrase):
        words = (FIRST_WORD.match(alternative) for alternative in (optional or group or word).split("|"))
        beginnings.update(first[0][:BEGINNING] for first in words if first)
        if not optional:
            break
    return beginnings


def phrase_pattern(phrase: str, beginning: str = "") -> str:
    """Return the regular expression of a phrase; the head of `cues.toml` describes the phrase language.

    Args:
        phrase: The phrase.
        beginning: If given, the pattern is used only where a text begins with these letters; it then omits other
            alternatives of a first word that is not optional.
    """
    if not any(letter.isalpha() for letter in phrase):
        return re.escape(phrase)
    pattern, joined = "", True
    for optional, group, word in _PIECE.findall(phrase):
        words = optional or group or word
        if group and not pattern:
            words = "|".join(choice for choice in group.split("|") if _begins_with(choice, beginning))
        choice = _choice(words)
        if optional:
            pattern += f"(?:{choice}{_GAP})*" if joined else f"(?:{_GAP}{choice})*"
            continue
        pattern += choice if joined else _GAP + choice
        joined = False
    return rf"{pattern}(?!\w)"


def _begins_with(words: str, beginning: str) -> bool:
    first = FIRST_WORD.match(words)
    return not beginning or first is None or first[0][:BEGINNING] == beginning


def _choice(words: str) -> str:
    alternatives = sorted(words.split("|"), key=lambda word: (-len(word), word))
    return "(?:" + "|".join(_literal(alternative) for alternative in alternatives) + ")"


def _literal(words: str) -> str:
    return _GAP.join(re.escape(word).replace(r"\*", "[a-z]*") for word in words.split())
