"""N-gram counts of predictions and references, for all pairs at once.

Text metrics are slow because they count n-grams in Python dictionaries. Here an n-gram is one integer and counting is
sorting: the n-grams of a pair, each with its side in the last bit, are one row of a matrix, and equal n-grams are
neighbors in the sorted row.
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
"""2**64 over the golden ratio, odd: the usual factor of multiplicative hashing (Knuth, volume 3, section 6.4)."""
_CELLS = 2**20
"""Largest number of cells of a matrix that is sorted at once; sorting is slower beyond the processor's cache."""


@dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order: one row for every n-gram of every pair that contains it on either side."""

    pairs: int
    """Number of pairs."""
    pair: Ints
    """[rows] index of the pair, 0..pairs-1, ascending."""
    ngram: Ints
    """[rows] number of the n-gram, equal for equal n-grams in all pairs. The numbers have gaps. They differ between
    calls of `count_words` and are the same in all calls of `hash_words`."""
    predicted: Ints
    """[rows] occurrences in the prediction."""
    referenced: Ints
    """[rows] occurrences in the reference."""

    def per_pair(self, rows: Ints | Floats) -> Floats:
        """Sum a column [rows] over the rows of each pair: [pairs]."""
        return np.bincount(self.pair, weights=rows, minlength=self.pairs).astype(np.float64, copy=False)

    def matches(self) -> Floats:
        """Count the n-grams in common [pairs], each as often as it occurs on both sides."""
        return self.per_pair(np.minimum(self.predicted, self.referenced))


def count_words(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], order: int
) -> tuple[NgramCounts, ...]:
    """Count the word n-grams of each prediction and its reference for n = 1..order."""
    texts = [text for pair in zip(predictions, references, strict=True) for text in pair]
    numbers = {word: number for number, word in enumerate(dict.fromkeys(chain.from_iterable(texts)))}
    words = np.fromiter(map(numbers.__getitem__, chain.from_iterable(texts)), dtype=np.int64)
    return _count_units(words, [len(text) for text in texts], order, _codes)


def hash_words(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], order: int
) -> tuple[NgramCounts, ...]:
    """Count word n-grams as `count_words`, with 62-bit hashes as numbers, so that calls can be compared."""
    texts = [text for pair in zip(predictions, references, strict=True) for text in pair]
    hashes = {word: _hash(word) for word in dict.fromkeys(chain.from_iterable(texts))}
    words = np.fromiter(map(hashes.__getitem__, chain.from_iterable(texts)), dtype=np.uint64)
    return _count_units(words, [len(text) for text in texts], order, _hashed_codes)


def count_characters(predictions: Sequence[str], references: Sequence[str], order: int) -> tuple[NgramCounts, ...]:
    """Count the n-grams of characters (Unicode code points) of each text and its reference for n = 1..order."""
    texts = [text for pair in zip(predictions, references, strict=True) for text in pair]
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    number = np.zeros(int(points.max(initial=0)) + 1, dtype=np.int64)
    alphabet = np.flatnonzero(np.bincount(points))
    number[alphabet] = np.arange(len(alphabet))
    return _count_units(number[points], [len(text) for text in texts], order, _codes)


def _count_units(units: NDArray[Any], lengths: Sequence[int], order: int, codes: _Codes) -> tuple[NgramCounts, ...]:
    """Count n-grams of units.

    Args:
        units: Numbers of words or characters of prediction, reference, prediction, reference and so on.
        lengths: Number of units of each text.
        order: Largest n.
        codes: Numbers the n-grams.
    """
    text = np.repeat(np.arange(len(lengths)), lengths)
    remaining = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(units))
    return tuple(_count(text[start], code, len(lengths) // 2) for start, code in codes(units, remaining, order))


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def _hashed_codes(units: NDArray[np.uint64], remaining: Ints, order: int) -> Iterator[tuple[Ints, Ints]]:
    """Number n-grams as `_codes`, from units that are hashes. The products are meant to wrap around at 2**64."""
    start, code = np.arange(len(units)), units * _MULTIPLIER
    yield start, (code >> np.uint64(2)).astype(np.int64)
    for n in range(2, order + 1):
        inside = remaining[start] >= n
        start, code = start[inside], code[inside]
        code = (code ^ units[start + n - 1]) * _MULTIPLIER
        yield start, (code >> np.uint64(2)).astype(np.int64)


def _codes(units: Ints, remaining: Ints, order: int) -> Iterator[tuple[Ints, Ints]]:
    """Yield for n = 1..order the start of every n-gram and its number.

    Args:
        units: Numbers of words or characters.
        remaining: Number of units from each unit to the end of its text.
        order: Largest n.
    """
    kinds = base = int(units.max(initial=0)) + 1
    start, code = np.arange(len(units)), units
    yield start, code
    for n in range(2, order + 1):
        inside = remaining[start] >= n
        start, code = start[inside], code[inside]
        if kinds * base * 2 > _LARGEST_CODE:  # renumber the (n-1)-grams without gaps so that the codes fit into 62 bits
            distinct, code = np.unique(code, return_inverse=True)
            kinds = len(distinct)
        code, kinds = code * base + units[start + n - 1], kinds * base
        yield start, code


def _count(text: Ints, code: Ints, pairs: int) -> NgramCounts:
    """Count equal n-grams on each side of each pair. Texts with even index are predictions, odd ones references."""
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
    """Sort in place each row of `key`, in which rows of the given lengths follow one another."""
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
    """Mark positions where the pair or the value differs from the previous one."""
    changes = np.ones(len(pair), dtype=np.bool_)
    changes[1:] = (pair[1:] != pair[:-1]) | (value[1:] != value[:-1])
    return changes
