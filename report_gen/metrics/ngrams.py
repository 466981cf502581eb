"""N-grams of prediction and reference side by side, counted for all pairs at once.

Counting n-grams in Python dictionaries is what makes text measures slow. Here an n-gram is one integer and counting is
sorting: the n-grams of a pair, each with the side it stands on in its last bit, are one row of a matrix, and in a
sorted row equal n-grams are next to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from report_gen.metrics.measure import Floats

Ints = NDArray[np.int64]

_Codes = Callable[[NDArray[Any], Ints, int], Iterator[tuple[Ints, Ints]]]

_LARGEST_CODE = 2**62
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio, odd: what multiplicative hashing likes."""
_CELLS = 2**20
"""Cells of a matrix that is sorted at a time; beyond the processor's cache sorting slows down."""


@dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order: a row for every n-gram of every pair that has it on either side."""

    pairs: int
    pair: Ints
    """[rows] which pair, 0..pairs-1, ascending."""
    ngram: Ints
    """[rows] the same number for the same n-gram, in all pairs; the numbers have gaps. Another call of `count_words`
    gives other numbers, one of `hash_words` the same."""
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
    texts = [text for pair in zip(predictions, references, strict=True) for text in pair]
    numbers = {word: number for number, word in enumerate(dict.fromkeys(chain.from_iterable(texts)))}
    words = np.fromiter(map(numbers.__getitem__, chain.from_iterable(texts)), dtype=np.int64)
    return _count_units(words, [len(text) for text in texts], order, _codes)


def hash_words(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], order: int
) -> tuple[NgramCounts, ...]:
    """The same as `count_words`, with n-grams numbered by hashes of 62 bits, so that calls can be compared."""
    texts = [text for pair in zip(predictions, references, strict=True) for text in pair]
    hashes = {word: _hash(word) for word in dict.fromkeys(chain.from_iterable(texts))}
    words = np.fromiter(map(hashes.__getitem__, chain.from_iterable(texts)), dtype=np.uint64)
    return _count_units(words, [len(text) for text in texts], order, _hashed_codes)


def count_characters(predictions: Sequence[str], references: Sequence[str], order: int) -> tuple[NgramCounts, ...]:
    """The same over the characters (Unicode code points) of each text."""
    texts = [text for pair in zip(predictions, references, strict=True) for text in pair]
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    place = np.zeros(int(points.max(initial=0)) + 1, dtype=np.int64)
    alphabet = np.flatnonzero(np.bincount(points))
    place[alphabet] = np.arange(len(alphabet))
    return _count_units(place[points], [len(text) for text in texts], order, _codes)


def _count_units(units: NDArray[Any], lengths: Sequence[int], order: int, codes: _Codes) -> tuple[NgramCounts, ...]:
    """`units` are words or characters, numbered from 0: prediction, reference, prediction, reference and so on."""
    text = np.repeat(np.arange(len(lengths)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(units))
    return tuple(_count(text[start], code, len(lengths) // 2) for start, code in codes(units, left, order))


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def _hashed_codes(units: NDArray[np.uint64], left: Ints, order: int) -> Iterator[tuple[Ints, Ints]]:
    """As `_codes`, from units that are hashes; the products wrap around at 2**64, as they should."""
    start, code = np.arange(len(units)), units * _MULTIPLIER
    yield start, (code >> np.uint64(2)).astype(np.int64)
    for n in range(2, order + 1):
        inside = left[start] >= n
        start, code = start[inside], code[inside]
        code = (code ^ units[start + n - 1]) * _MULTIPLIER
        yield start, (code >> np.uint64(2)).astype(np.int64)


def _codes(units: Ints, left: Ints, order: int) -> Iterator[tuple[Ints, Ints]]:
    """For n = 1..order: where an n-gram starts, and its number; `left` are the units from each to its text's end."""
    kinds = base = int(units.max(initial=0)) + 1
    start, code = np.arange(len(units)), units
    yield start, code
    for n in range(2, order + 1):
        inside = left[start] >= n
        start, code = start[inside], code[inside]
        if kinds * base * 2 > _LARGEST_CODE:  # number the (n-1)-grams anew, without gaps
            distinct, code = np.unique(code, return_inverse=True)
            kinds = len(distinct)
        code, kinds = code * base + units[start + n - 1], kinds * base
        yield start, code


def _count(text: Ints, code: Ints, pairs: int) -> NgramCounts:
    """Count equal n-grams of each side of each pair; even texts are predictions, odd ones their references."""
    pair = text >> 1
    key = code << 1 | text & 1
    _sort_rows(key, np.bincount(pair, minlength=pairs))
    start = np.flatnonzero(_changes(pair, key))
    times = np.diff(start, append=len(key))
    pair, key = pair[start], key[start]
    first = _changes(pair, key >> 1)
    counts = np.zeros((2, np.count_nonzero(first)), dtype=np.int64)
    counts[key & 1, np.cumsum(first) - 1] = times
    return NgramCounts(pairs, pair[first], key[first] >> 1, counts[0], counts[1])


def _sort_rows(key: Ints, lengths: Ints) -> None:
    """Sort, in place, each of the rows that lie in `key` one after the other."""
    if len(lengths) > 1 and len(lengths) * int(lengths.max()) > _CELLS:
        half = len(lengths) // 2
        middle = int(lengths[:half].sum())
        _sort_rows(key[:middle], lengths[:half])
        _sort_rows(key[middle:], lengths[half:])
    elif len(key):
        filled = np.arange(lengths.max()) < lengths[:, None]
        matrix = np.full(filled.shape, np.iinfo(np.int64).max)
        matrix[filled] = key
        matrix.sort(axis=1)
        key[:] = matrix[filled]


def _changes(pair: Ints, value: Ints) -> NDArray[np.bool_]:
    """Where a pair or a value differs from the one before."""
    changes = np.ones(len(pair), dtype=np.bool_)
    changes[1:] = (pair[1:] != pair[:-1]) | (value[1:] != value[:-1])
    return changes
