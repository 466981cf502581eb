"""N-grams of prediction and reference side by side, counted for all pairs at once.

Counting n-grams in Python dictionaries is what makes text measures slow. Here a text is a row of numbers, an n-gram
is one integer, and counting is sorting: pair, n-gram and side are packed into one key, and equal keys come together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from report_gen.scoring.measure import Floats

Ints = NDArray[np.int64]

_LARGEST_KEY = 2**62


@dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order: a row for every n-gram of every pair that has it on either side."""

    pairs: int
    pair: Ints
    """[rows] which pair, 0..pairs-1, ascending."""
    ngram: Ints
    """[rows] the same number for the same n-gram, in all pairs; the numbers have gaps."""
    predicted: Ints
    """[rows] times in the prediction."""
    referenced: Ints
    """[rows] times in the reference."""

    def per_pair(self, rows: Ints | Floats) -> Floats:
        """[pairs]: the sum of a column over the rows of each pair."""
        return np.bincount(self.pair, weights=rows, minlength=self.pairs).astype(np.float64, copy=False)

    def matches(self) -> Floats:
        """[pairs]: n-grams in common, each counted as often as it stands on both sides."""
        return self.per_pair(np.minimum(self.predicted, self.referenced))


def count_words(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], order: int
) -> tuple[NgramCounts, ...]:
    """Counts for n = 1..order over the words of each prediction and its reference."""
    numbers: dict[str, int] = {}
    texts = [*predictions, *references]
    words = [numbers.setdefault(word, len(numbers)) for text in texts for word in text]
    return _count_numbers(np.array(words, dtype=np.int64), [len(text) for text in texts], order)


def count_characters(predictions: Sequence[str], references: Sequence[str], order: int) -> tuple[NgramCounts, ...]:
    """The same over the characters (Unicode code points) of each text."""
    texts = [*predictions, *references]
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    alphabet = np.unique(points)
    return _count_numbers(np.searchsorted(alphabet, points), [len(text) for text in texts], order)


def _count_numbers(units: Ints, lengths: Sequence[int], order: int) -> tuple[NgramCounts, ...]:
    """`units` are the words or characters of all predictions, then of all references, numbered from 0."""
    text = np.repeat(np.arange(len(lengths)), lengths)
    return tuple(_count(text[start], code, len(lengths) // 2) for start, code in _codes(units, text, order))


def _codes(units: Ints, text: Ints, order: int) -> Iterator[tuple[Ints, Ints]]:
    """For n = 1..order: where an n-gram starts, and its number."""
    kinds = base = int(units.max(initial=0)) + 1
    texts = int(text.max(initial=0)) + 1
    start, code = np.arange(len(units)), units
    yield start, code
    for n in range(2, order + 1):
        inside = start + n - 1 < len(units)
        inside[inside] = text[start[inside]] == text[start[inside] + n - 1]
        start, code = start[inside], code[inside]
        if kinds * base * texts > _LARGEST_KEY:  # number the (n-1)-grams anew, without gaps
            distinct, code = np.unique(code, return_inverse=True)
            kinds = len(distinct)
        code, kinds = code * base + units[start + n - 1], kinds * base
        yield start, code


def _count(text: Ints, code: Ints, pairs: int) -> NgramCounts:
    """Count equal (pair, n-gram, side); texts 0..pairs-1 are the predictions, the others the references."""
    kinds = int(code.max(initial=0)) + 1
    is_reference, pair = np.divmod(text, max(pairs, 1))
    keys, times = np.unique((pair * kinds + code) * 2 + is_reference, return_counts=True)
    rows, side = keys >> 1, keys & 1
    first = np.append(True, rows[1:] != rows[:-1])[: len(rows)]
    row = np.cumsum(first) - 1
    counts = np.zeros((2, int(first.sum())), dtype=np.int64)
    counts[side, row] = times
    pair, ngram = np.divmod(rows[first], kinds)
    return NgramCounts(pairs, pair, ngram, counts[0], counts[1])
