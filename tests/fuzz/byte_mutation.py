"""Mutate bytes as damaged disks, broken transfers and attackers do. The format of the bytes is not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

_LONGEST = 2**20
"""Largest mutated content, bytes; a repeated chunk is cut there."""
_MOST_MUTATIONS = 4
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
"""Values at which lengths and counts overflow."""


def mutate_bytes(content: bytes, others: Sequence[bytes], random: np.random.Generator) -> bytes:
    """Apply one to four random mutations.

    Args:
        content: What is mutated.
        others: Contents from which splices are taken.
        random: Source of all choices.
    """
    data = bytearray(content)
    for _ in range(int(random.integers(1, _MOST_MUTATIONS + 1))):
        mutation = _MUTATIONS[int(random.integers(len(_MUTATIONS)))]
        mutation(data, others, random)
    return bytes(data[:_LONGEST])


def _place(data: bytearray, random: np.random.Generator) -> int:
    """Return a position; half of them lie in the first 256 bytes, where most formats have their header."""
    end = len(data) + 1
    return int(random.integers(min(end, 256) if random.random() < 0.5 else end))


def _stretch(data: bytearray, random: np.random.Generator) -> slice:
    start = _place(data, random)
    return slice(start, start + int(2 ** random.uniform(0, 10)))


def _flip_bits(data: bytearray, _others: Sequence[bytes], random: np.random.Generator) -> None:
    for _ in range(int(random.integers(1, 9))):
        place = _place(data, random)
        if place < len(data):
            data[place] ^= 1 << int(random.integers(8))


def _replace_bytes(data: bytearray, _others: Sequence[bytes], random: np.random.Generator) -> None:
    stretch = _stretch(data, random)
    data[stretch] = random.bytes(len(data[stretch]))


def _truncate(data: bytearray, _others: Sequence[bytes], random: np.random.Generator) -> None:
    del data[_place(data, random) :]


def _remove(data: bytearray, _others: Sequence[bytes], random: np.random.Generator) -> None:
    del data[_stretch(data, random)]


def _splice(data: bytearray, others: Sequence[bytes], random: np.random.Generator) -> None:
    other = bytearray(others[int(random.integers(len(others)))])
    place = _place(data, random)
    data[place:place] = other[_stretch(other, random)]


def _repeat(data: bytearray, _others: Sequence[bytes], random: np.random.Generator) -> None:
    stretch = _stretch(data, random)
    data[stretch.start : stretch.start] = data[stretch] * int(2 ** random.uniform(0, 10))


def _overwrite_number(data: bytearray, _others: Sequence[bytes], random: np.random.Generator) -> None:
    """Overwrite what may be a length, a count or an offset, in either byte order."""
    size = (1, 2, 4, 8)[int(random.integers(4))]
    number = _NUMBERS[int(random.integers(len(_NUMBERS)))] % 256**size
    order = ("little", "big")[int(random.integers(2))]
    place = _place(data, random)
    data[place : place + size] = number.to_bytes(size, order)  # type: ignore[arg-type]


def _change_digits(data: bytearray, _others: Sequence[bytes], random: np.random.Generator) -> None:
    """Replace a digit by many, which makes a number of a text format huge."""
    digits = [place for place, byte in enumerate(data) if 0x30 <= byte <= 0x39]
    if digits:
        place = digits[int(random.integers(len(digits)))]
        data[place : place + 1] = (b"9" * 20, b"-1", b"1e999", b"0", b"NaN", b"0" * 5000)[int(random.integers(6))]


def _nest(data: bytearray, _others: Sequence[bytes], random: np.random.Generator) -> None:
    """Insert thousands of opening brackets, which exhaust the stack of a recursive parser."""
    bracket = (b"[", b"{", b'{"a":', b"(", b"<a>", b'"')[int(random.integers(6))]
    place = _place(data, random)
    data[place:place] = bracket * int(10 ** random.uniform(0, 4.5))


_MUTATIONS: tuple[Callable[[bytearray, Sequence[bytes], np.random.Generator], None], ...] = (
    _flip_bits,
    _flip_bits,
    _replace_bytes,
    _truncate,
    _remove,
    _splice,
    _repeat,
    _overwrite_number,
    _overwrite_number,
    _change_digits,
    _nest,
)
