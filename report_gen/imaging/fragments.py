"""Find the fragments of each frame of encapsulated pixels (PS3.5 A.4). No pixels are read."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from report_gen.errors import StudyError

ITEM = b"\xfe\xff\x00\xe0"
"""Item tag (FFFE,E000), which begins the offset table and each fragment."""

_MAX_FRAGMENTS = 2**16
"""Most fragments beyond one for each frame. Encoders write one, some write one for every 32 or 64 kilobytes."""

_CODESTREAM_END = b"\xff\xd9"
"""Last marker of JPEG, JPEG-LS and JPEG 2000 codestreams."""
_ENDING_BYTES = 10
"""Bytes at the end of a fragment among which the marker lies; padding may follow it."""


class Fragment(NamedTuple):
    """A part of a compressed frame."""

    start: int
    """Offset of its first byte in the file."""
    size: int


class Fragments:
    """The fragments of the frames of one file.

    Args:
        starts: Offset of the first byte of each fragment in the file.
        sizes: Bytes of each fragment.
        first: Index of the first fragment of each frame, and the number of fragments.
    """

    def __init__(self, starts: Sequence[int], sizes: Sequence[int], first: Sequence[int]) -> None:
        self._starts, self._sizes, self._first = starts, sizes, first

    def of(self, frame: int) -> Iterator[Fragment]:
        """Yield the fragments of a frame."""
        for index in range(self._first[frame], self._first[frame + 1]):
            yield Fragment(self._starts[index], self._sizes[index])

    def size(self, frame: int) -> int:
        """Return the bytes of a frame with the headers of its fragments."""
        return sum(8 + fragment.size for fragment in self.of(frame))


def find_fragments(file: BinaryIO, file_size: int, frames: int, path: Path) -> Fragments:
    """Find the fragments of each frame.

    A file with as many fragments as frames needs no offset table. If there are more fragments, the Basic Offset Table
    says where a frame begins; a table that does not point to fragments is ignored, and the ends of the codestreams
    decide. The Extended Offset Table is not read, because it requires one fragment for each frame (PS3.3 C.7.6.3.1.8).

    Args:
        file: The file, positioned at the offset table.
        file_size: Size of the file, bytes.
        frames: Number of frames.
        path: The file, named in errors.

    Raises:
        StudyError: The file ends within a fragment, has too many or too few of them, or the fragments of several frames
            cannot be told apart.
    """
    table = _next_item(file)
    if table is None:
        raise _malformed(path, "the pixels have no offset table")
    begin = table.start + table.size
    starts, sizes = array("Q"), array("Q")
    end = begin
    file.seek(end)
    while (fragment := _next_item(file)) is not None:
        if len(starts) >= frames - 1 + _MAX_FRAGMENTS:
            raise _malformed(path, f"more than {_MAX_FRAGMENTS} fragments of pixels")
        starts.append(fragment.start)
        sizes.append(fragment.size)
        end = fragment.start + fragment.size
        file.seek(end)
    if end > file_size:
        raise StudyError(path, "truncated: the file ends within its pixels; copy or export it again")
    if len(starts) < frames:
        raise _malformed(path, f"the header states more frames ({frames}) than the pixels have ({len(starts)})")
    if frames == 1:
        first: Sequence[int] | None = (0, len(starts))
    elif len(starts) == frames:
        first = range(frames + 1)
    else:
        first = _by_table(file, table, starts, begin, frames) or _by_codestreams(file, starts, sizes, frames)
    if first is None:
        raise _malformed(path, f"{len(starts)} fragments of pixels do not belong to {frames} frames")
    return Fragments(starts, sizes, first)


def _next_item(file: BinaryIO) -> Fragment | None:
    item = file.read(8)
    if item[:4] != ITEM or len(item) < 8:
        return None
    return Fragment(file.tell(), int.from_bytes(item[4:], "little"))


def _by_table(file: BinaryIO, table: Fragment, starts: Sequence[int], begin: int, frames: int) -> Sequence[int] | None:
    """Return the first fragment of each frame by the Basic Offset Table, or None if it is empty or wrong."""
    if table.size != 4 * frames:
        return None
    file.seek(table.start)
    offsets = struct.unpack(f"<{frames}I", file.read(table.size))
    index_at = {start - 8 - begin: index for index, start in enumerate(starts)}
    first = [index_at.get(offset, -1) for offset in offsets]
    is_ordered = all(one < other for one, other in pairwise(first))
    return [*first, len(starts)] if first[0] == 0 and is_ordered else None


def _by_codestreams(file: BinaryIO, starts: Sequence[int], sizes: Sequence[int], frames: int) -> Sequence[int] | None:
    """Return the first fragment of each frame by the ends of the codestreams, or None if these do not fit."""
    first = [0]
    for index, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        tail = min(size, _ENDING_BYTES)
        file.seek(start + size - tail)
        if _CODESTREAM_END in file.read(tail):
            first.append(index + 1)
    return first if len(first) == frames + 1 and first[-1] == len(starts) else None


def _malformed(path: Path, reason: str) -> StudyError:
    return StudyError(path, f"malformed: {reason}; export the image again")
