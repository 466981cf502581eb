"""Length of the longest common subsequence, a whole row of the table at a time."""

from __future__ import annotations

from collections.abc import Sequence


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Words that stand in both texts in the same order, gaps allowed; the largest such number.

    The bits of `row` are the steps of one row of the textbook table: a zero where the length grows. One addition
    carries through the whole row (Crochemore et al., Information Processing Letters 80, 2001; form of Hyyro, 2004).
    """
    places: dict[str, int] = {}
    for position, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << position
    every = row = (1 << len(second)) - 1
    for word in first:
        if word in places:
            here = row & places[word]
            row = (row + here | row - here) & every
    return len(second) - row.bit_count()
