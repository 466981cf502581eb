"""Cut phrases that a model repeats without end: "no effusion, no effusion, no effusion, no effusion"."""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = re.compile(r"\w+")
_LONGEST_PHRASE = 20
"""Largest number of words of a phrase that is searched for repetitions."""
_FEWEST = 3
"""Least number of times that a phrase occurs in a row in a loop. "Very, very small" is not a loop."""


def words_of(sentence: str) -> tuple[str, ...]:
    """Return the words of a sentence without case and punctuation. Repeated sentences have equal words."""
    return tuple(_WORD.findall(sentence.casefold()))


class Loop(NamedTuple):
    """A phrase that occurs three times in a row or more."""

    start: int
    """Position of its first repetition in the sentence."""
    words: int
    """Number of words of the phrase."""


def find_loop(sentence: str) -> Loop | None:
    """Return the first loop of a sentence, or None. Phrases without a letter do not count: "0 0 0"."""
    matches = list(_WORD.finditer(sentence))
    words = [match[0].casefold() for match in matches]
    sizes = range(1, min(_LONGEST_PHRASE, len(words) // _FEWEST) + 1)
    starts = [(start + size, size) for size in sizes if (start := _first_loop(words, size)) is not None]
    return Loop(matches[min(starts)[0]].start(), min(starts)[1]) if starts else None


def _first_loop(words: list[str], size: int) -> int | None:
    """Return the index of the first word of a loop of a phrase of `size` words."""
    equal = 0
    for index in range(size, len(words)):
        equal = equal + 1 if words[index] == words[index - size] else 0
        if equal == size * (_FEWEST - 1):
            start = index - size * _FEWEST + 1
            if any(character.isalpha() for word in words[start : start + size] for character in word):
                return start
    return None
