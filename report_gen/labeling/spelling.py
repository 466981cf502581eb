"""Recognize misspelled words of a vocabulary."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import lru_cache

SHORTEST_WORD = 7
"""Number of letters below which a misspelling is too close to other words."""

_SIMILARITY = 0.87
"""Ratio of `difflib` above which a word is taken for a misspelling: one letter missing, added or exchanged."""


def spelling_corrector(words: Sequence[str]) -> Callable[[str], str]:
    """Return a function that returns the closest of the words to a word in lower case, or "" if none is close.

    The first letter must agree, which separates "infusion" from "effusion". The function caches its answers.
    """
    by_initial: dict[str, list[str]] = {}
    for word in words:
        by_initial.setdefault(word[0], []).append(word)

    @lru_cache(maxsize=16384)
    def correct(word: str) -> str:
        close = difflib.get_close_matches(word, by_initial.get(word[0], ()), n=1, cutoff=_SIMILARITY)
        return close[0] if close else ""

    return correct
