"""Decode one image file into the square that is cached, as the decoding processes do."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging import load_pixels, read_synthetic_rows
from report_gen.imaging.transform import ImageTransform
from report_gen.records import Image

from .box_geometry import SquareGeometry

VERSION = 4
"""Version of the code that reads pixels and fits them into a square. Raise it to discard every cache."""


_GEOMETRY_BYTES = 4 * len(SquareGeometry._fields)


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
    payload: bytes | None
    """The image as `pack_square` writes it; None if the cache holds it already."""


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
        pixels = pixels[: read_synthetic_rows(Path(path))]  # without the band that marks a synthetic image
    except StudyError as error:
        return UnreadableImage(path, error.reason)
    square, placement = transform.fit(pixels)
    rows, columns = pixels.shape
    left, top, side = placement.square  # in pixels of the image
    geometry = SquareGeometry(columns / side, -left / side, rows / side, -top / side)
    return DecodedImage(path, stamp, digest, pack_square((square * 255).round().byte().numpy(), geometry))


def pack_square(square: NDArray[np.uint8], geometry: SquareGeometry) -> bytes:
    """Return the payload of a square [size,size] in steps of 1/255: its rows, then its geometry in float32."""
    return square.tobytes() + np.array(geometry, dtype=np.float32).tobytes()


def unpack_square(payload: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], SquareGeometry]:
    """Return the square [size,size] of a payload, as a view of it, and its geometry."""
    pixels, geometry = payload[:-_GEOMETRY_BYTES], payload[-_GEOMETRY_BYTES:].copy().view(np.float32)
    size = math.isqrt(len(pixels))
    return pixels.reshape(size, size), SquareGeometry(*geometry.tolist())


def payload_bytes(size: int) -> int:
    """Return the length of the payload of a square of `size` pixels."""
    return size**2 + _GEOMETRY_BYTES


def file_stamp(path: str) -> FileStamp:
    """Return the stamp of a file. Raises OSError if there is no such file."""
    status = Path(path).stat()
    return FileStamp(status.st_size, status.st_mtime_ns)
