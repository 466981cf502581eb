"""N-gram counts of predictions and references, for all pairs at once.

Text metrics are slow because they count n-grams in Python dictionaries. Here an n-gram is one integer and counting is
sorting: the n-grams of a pair, each with its side in the last bit, are one row of a matrix, and equal n-grams are
neighbors in the sorted row. If the numbers of the units of an n-gram fit side by side into one integer, shorter n-grams
are its leading bits, so one sort serves all orders.
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
Counts = NDArray[np.int32]

_Codes = Callable[[NDArray[Any], Ints, int], Iterator[tuple[Ints, Ints]]]

_LARGEST_CODE = 2**62
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio, odd: the usual factor of multiplicative hashing (Knuth, volume 3, section 6.4)."""
_CELLS = 2**16
"""Number of cells of a matrix that is sorted at once; everything is slower beyond the processor's cache."""
_PADDING = np.iinfo(np.int64).max


@dataclass(frozen=True)
class NgramCounts:
    """The n-grams of one order: one row for every n-gram of every pair that contains it on either side."""

    pairs: int
    """Number of pairs."""
    pair: Counts
    """[rows] index of the pair, 0..pairs-1, ascending."""
    ngram: Ints
    """[rows] number of the n-gram, equal for equal n-grams in all pairs. The numbers have gaps. They differ between
    calls of `count_words` and are the same in all calls of `hash_words`."""
    predicted: Counts
    """[rows] occurrences in the prediction."""
    referenced: Counts
    """[rows] occurrences in the reference."""

    def per_pair(self, rows: Counts | Floats) -> Floats:
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
    numbers = {word: number for number, word in enumerate(dict.fromkeys(chain.from_iterable(texts)), 1)}
    words = np.fromiter(map(numbers.__getitem__, chain.from_iterable(texts)), dtype=np.int64)
    return _count_numbered(words, [len(text) for text in texts], order)


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
    number[alphabet] = np.arange(1, len(alphabet) + 1)
    return _count_numbered(number[points], [len(text) for text in texts], order)


def _count_numbered(units: Ints, lengths: Sequence[int], order: int) -> tuple[NgramCounts, ...]:
    """Count n-grams of units that are numbered from 1; for the arguments see `_count_units`."""
    bits = int(units.max(initial=0)).bit_length()
    if 2 ** (bits * order) >= _LARGEST_CODE:
        return _count_units(units, lengths, order, _codes)
    sizes = np.array(lengths, dtype=np.int64).reshape(-1, 2)
    shifts = [bits * (order - n) for n in range(1, order + 1)]
    return _count_blocks(units, sizes, shifts, lambda block, rows: _pack(block, rows, shifts))


def _pack(units: Ints, sizes: Ints, shifts: Sequence[int]) -> Ints:
    """Pack the n-gram at each unit into one integer, with 0 for units after the end of the text.

    Args:
        units: [units] numbers from 1.
        sizes: [pairs, 2] number of units of prediction and reference.
        shifts: [order] position of each unit of an n-gram in the bits of the integer.
    """
    ends = np.repeat(np.cumsum(sizes), sizes.ravel())
    remaining = ends - np.arange(len(units))
    code = units << shifts[0]
    for place, shift in enumerate(shifts[1:], 1):
        code[:-place] |= np.where(remaining[:-place] > place, units[place:], 0) << shift
    return code


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
    counts: list[NgramCounts] = []
    for start, code in codes(units, remaining, order):
        sizes = np.bincount(text[start], minlength=len(lengths)).reshape(-1, 2)
        counts += _count_blocks(code, sizes, [0], lambda block, _: block)
    return tuple(counts)


def _count_blocks(
    units: Ints, sizes: Ints, shifts: Sequence[int], pack: Callable[[Ints, Ints], Ints]
) -> tuple[NgramCounts, ...]:
    """Count n-grams in blocks of at most `_CELLS` cells or of one pair.

    Args:
        units: [units] units of all pairs.
        sizes: [pairs, 2] number of units of prediction and reference.
        shifts: As of `_count_rows`.
        pack: Returns the n-grams of the units and sizes of a block.
    """
    lengths = sizes.sum(axis=1)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    # There are at most as many rows as units. Memory that is never written is never occupied.
    tables = [_empty_counts(len(sizes), len(units)) for _ in shifts]
    filled = [0] * len(shifts)
    for first, last in _blocks(lengths, 0, len(lengths)):
        codes = pack(units[ends[first] : ends[last]], sizes[first:last])
        for n, (pair, ngram, predicted, referenced) in enumerate(_count_rows(codes, sizes[first:last], shifts)):
            rows, table = slice(filled[n], filled[n] + len(pair)), tables[n]
            table.pair[rows], table.ngram[rows] = pair + first, ngram
            table.predicted[rows], table.referenced[rows] = predicted, referenced
            filled[n] += len(pair)
    return tuple(
        NgramCounts(table.pairs, table.pair[:end], table.ngram[:end], table.predicted[:end], table.referenced[:end])
        for table, end in zip(tables, filled, strict=True)
    )


def _blocks(lengths: Ints, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the first pair, and the one after the last, of blocks; long pairs make only their own block smaller."""
    if last - first > 1 and (last - first) * (int(lengths[first:last].max()) + 1) > _CELLS:
        middle = (first + last) // 2
        yield from _blocks(lengths, first, middle)
        yield from _blocks(lengths, middle, last)
    elif first < last:
        yield first, last


def _empty_counts(pairs: int, rows: int) -> NgramCounts:
    pair, predicted, referenced = (np.empty(rows, np.int32) for _ in range(3))
    return NgramCounts(pairs, pair, np.empty(rows, np.int64), predicted, referenced)


def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def _hashed_codes(units: NDArray[np.uint64], remaining: Ints, order: int) -> Iterator[tuple[Ints, Ints]]:
    """Number n-grams as `_codes`, from units that are hashes. The products are meant to wrap around at 2**64."""
    start, code = np.arange(len(units)), units * MULTIPLIER
    yield start, (code >> np.uint64(2)).astype(np.int64)
    for n in range(2, order + 1):
        inside = remaining[start] >= n
        start, code = start[inside], code[inside]
        code = (code ^ units[start + n - 1]) * MULTIPLIER
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
            code, kinds = code + 1, len(distinct) + 1
        code, kinds = code * base + units[start + n - 1], kinds * base
        yield start, code


def _count_rows(code: Ints, sizes: Ints, shifts: Sequence[int]) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    """Count the n-grams of a few pairs.

    Args:
        code: [units] the n-grams of prediction, reference, prediction and so on.
        sizes: [pairs, 2] number of n-grams of prediction and reference.
        shifts: For each order the number of bits after the number of the n-gram. If the last unit of that number is 0,
            the n-gram reaches beyond the text.

    Yields:
        For each order the columns of `NgramCounts`.
    """
    lengths = sizes.sum(axis=1)
    width = int(lengths.max(initial=0)) + 1
    filled = np.arange(width) < lengths[:, None]
    matrix = np.full(filled.shape, _PADDING)
    matrix[filled] = code << 1 | np.repeat(np.arange(sizes.size) & 1, sizes.ravel())
    matrix.sort(axis=1)
    cells = matrix.ravel()
    references = np.concatenate([[0], np.cumsum(cells & 1)])  # cells of references before each cell
    last_unit = (1 << shifts[-2]) - 1 if len(shifts) > 1 else -1
    for shift in shifts:
        ngram = cells >> shift + 1
        # Each row ends with padding, so a run of equal n-grams never continues in the next row.
        start = np.flatnonzero(np.concatenate([[True], ngram[1:] != ngram[:-1]]))
        run = ngram[start]
        times, referenced = np.diff(start, append=len(cells)), np.diff(references[start], append=references[-1])
        kept = (run != _PADDING >> shift + 1) & (run & last_unit != 0)
        yield start[kept] // width, run[kept], (times - referenced)[kept], referenced[kept]
