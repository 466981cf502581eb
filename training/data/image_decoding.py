"""One image file to the square that is kept of it: what the processes that fill the cache of images do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from report_gen.errors import StudyError
from report_gen.imaging.reading import load_pixels
from report_gen.imaging.transform import ImageTransform
from report_gen.records.study import Image

VERSION = 1
"""Of the code that reads pixels and fits them into their square: raise it, and every cache is made anew."""


class Stamp(NamedTuple):
    """What stays the same of a file that is not written to."""

    size: int
    modified: int
    """Nanoseconds."""


@dataclass(frozen=True)
class Decoded:
    path: str
    stamp: Stamp
    sha256: str
    square: bytes | None
    """[size,size] uint8: steps of 1/255, so that rounding is wrong by half of one at most. None where it is kept."""


@dataclass(frozen=True)
class Fault:
    """Why an image cannot be read."""

    path: str
    reason: str


def decode(path: str, transform: ImageTransform, kept: Callable[[], Container[str]]) -> Decoded | Fault:
    """An image as drafting reads it, fitted into its square and rounded to 8 bits.

    Args:
        kept: gives the SHA-256 of files whose squares there are.
    """
    try:
        found = stamp(path)
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        return Fault(path, f"cannot be read ({getattr(error, 'strerror', None) or error}); check the path.")
    if digest in kept():
        return Decoded(path, found, digest, None)
    try:
        pixels = load_pixels(Image(path=Path(path), sha256=digest, rows=0, columns=0))  # to describe it is to decode it
    except StudyError as error:
        return Fault(path, error.reason)
    square, _ = transform.fit(pixels)
    return Decoded(path, found, digest, (square * 255).round().byte().numpy().tobytes())


def stamp(path: str) -> Stamp:
    """Raises OSError where there is no file."""
    status = Path(path).stat()
    return Stamp(status.st_size, status.st_mtime_ns)
