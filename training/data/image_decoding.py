"""Decode one image file into the square that is cached, as the decoding processes do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from report_gen.errors import StudyError
from report_gen.imaging import load_pixels
from report_gen.imaging.transform import ImageTransform
from report_gen.records import Image

VERSION = 2
"""Version of the code that reads pixels and fits them into a square. Raise it to discard every cache."""


class FileStamp(NamedTuple):
    """Identifies a file that has not been written to since."""

    size: int
    """Bytes."""
    modified: int
    """Modification time, nanoseconds."""


@dataclass(frozen=True)
class DecodedImage:
    """An image file as it is stored in the cache."""

    path: str
    stamp: FileStamp
    sha256: str
    square: bytes | None
    """[size,size] uint8 in steps of 1/255; None if the cache holds it already."""


@dataclass(frozen=True)
class UnreadableImage:
    """An image that cannot be read, and why."""

    path: str
    reason: str


def decode(
    path: str, transform: ImageTransform, stored: Callable[[], Container[str]]
) -> DecodedImage | UnreadableImage:
    """Read an image as drafting does, preprocess it, fit it into a square and round it to 8 bits.

    Args:
        stored: Returns the SHA-256 of the files that the cache holds.
    """
    try:
        stamp = file_stamp(path)
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        return UnreadableImage(path, f"cannot be read ({getattr(error, 'strerror', None) or error}); check the path.")
    if digest in stored():
        return DecodedImage(path, stamp, digest, None)
    try:
        # rows and columns are unknown before decoding, and load_pixels does not need them.
        pixels = load_pixels(Image(path=Path(path), sha256=digest, rows=0, columns=0))
    except StudyError as error:
        return UnreadableImage(path, error.reason)
    square, _ = transform.fit(pixels)
    return DecodedImage(path, stamp, digest, (square * 255).round().byte().numpy().tobytes())


def file_stamp(path: str) -> FileStamp:
    """Return the stamp of a file. Raises OSError if there is no such file."""
    status = Path(path).stat()
    return FileStamp(status.st_size, status.st_mtime_ns)
