"""Decode one image file into the square that is cached, as the decoding processes do."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.errors import StudyError
from report_gen.imaging import (
    ONLY_HOUNSFIELD,
    GdcmProcess,
    load_image,
    load_many,
    load_windows,
    read_study,
    read_synthetic_rows,
)
from report_gen.imaging.transform import ImageTransform, Placement
from report_gen.imaging.volumes import choose_volume
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
        square, placement, (rows, columns) = _fit(Path(path), digest, transform)
    except StudyError as error:
        return UnreadableImage(path, error.reason)
    left, top, side = placement.square  # in pixels of the image
    geometry = SquareGeometry(columns / side, -left / side, rows / side, -top / side)
    return DecodedImage(path, stamp, digest, pack_square((square * 255).round().byte().numpy(), geometry))


def _fit(path: Path, digest: str, transform: ImageTransform) -> tuple[torch.Tensor, Placement, tuple[int, int]]:
    """Return the square of a file, its placement, and the rows and columns of the image or slice.

    Raises:
        StudyError: The file cannot be read, or the model needs a slice or a volume of a CT, which it is not.
    """
    if transform.volume_window is not None:
        images = choose_volume(read_study(path), transform.volume_window).study.images
        square, placement = transform.fit_volume(load_many(images, display=True))
        return square, placement, (placement.rows, placement.columns)
    if not transform.windows:
        # rows and columns are unknown before decoding, and load_image does not need them.
        pixels = load_image(Image(path=path, sha256=digest, rows=0, columns=0), _gdcm()).pixels
        pixels = pixels[: read_synthetic_rows(path)]  # without the band that marks a synthetic image
        return *transform.fit(pixels), (pixels.shape[0], pixels.shape[1])
    study = read_study(path)
    if len(study.images) > 1 or study.series[0].modality != "CT":
        raise StudyError(path, f"is not a single slice of a CT and has no Hounsfield units, {ONLY_HOUNSFIELD}")
    pixels = load_windows(study.images[0], transform.windows, _gdcm())
    return *transform.fit(pixels), (pixels.shape[1], pixels.shape[2])


@cache
def _gdcm() -> GdcmProcess:
    """Return the process that decodes for this one: starting one for each image takes as long as decoding it."""
    return GdcmProcess()


def pack_square(square: NDArray[np.uint8], geometry: SquareGeometry) -> bytes:
    """Return the payload of a square [...,size,size] in steps of 1/255: its rows, then its geometry in float32."""
    return square.tobytes() + np.array(geometry, dtype=np.float32).tobytes()


def unpack_square(payload: NDArray[np.uint8], shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], SquareGeometry]:
    """Return the square of a payload in its shape, as a view of it, and its geometry."""
    pixels, geometry = payload[:-_GEOMETRY_BYTES], payload[-_GEOMETRY_BYTES:].copy().view(np.float32)
    return pixels.reshape(shape), SquareGeometry(*geometry.tolist())


def payload_bytes(shape: tuple[int, ...]) -> int:
    """Return the length of the payload of a square of this shape."""
    return math.prod(shape) + _GEOMETRY_BYTES


def file_stamp(path: str) -> FileStamp:
    """Return the stamp of a file. Raises OSError if there is no such file."""
    status = Path(path).stat()
    return FileStamp(status.st_size, status.st_mtime_ns)
