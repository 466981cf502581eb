"""Examine an image file: whether it can be read, a hash of its bytes, a perceptual hash and a thumbnail."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from report_gen.corpus_qc.text_statistics import fingerprint
from report_gen.errors import StudyError
from report_gen.imaging import read_pixels

THUMBNAIL_SIDE = 128
"""Longer side of a thumbnail, pixels."""
HASH_BANDS = 16
"""Bands of 16 bits in a perceptual hash (imagehash.phash of hash size 16), low frequencies first."""
MAX_DIFFERENT_BITS = 20
"""Largest number of different bits, of 256, in the hashes of similar images.

Measured on ChestX-ray14: radiographs of 490 patients differ in 60 bits or more. A radiograph that is resized, saved
again or changed in contrast differs from the original in 8 or less. One that is cropped by 2% or rotated by 2 degrees
differs in about 40, so it is not found.
"""


class ImageState(IntEnum):
    """Result of reading an image file."""

    SOUND = 0
    BLANK = 1
    """The image was read, and all pixels have the same gray level."""
    MISSING = 2
    UNREADABLE = 3


IMAGE_DTYPE = np.dtype(
    [
        ("study", np.uint32),
        ("index", np.uint32),
        ("state", np.uint8),
        ("content", np.uint64),
        ("perceptual_hash", np.uint16, HASH_BANDS),
        ("size", np.uint32, 2),
    ]
)
"""Record of one image.

study: row number of its study; index: position among the images of the study; state: of `ImageState`; content:
`fingerprint` of the bytes of the file; perceptual_hash: [HASH_BANDS]; size: rows and columns. The last three are 0 for
an image that cannot be read.
"""


@dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """Features of one image file."""

    state: ImageState
    error: str = ""
    """Name of the file and the reason if it cannot be read."""
    content: int = 0
    """`fingerprint` of the bytes of the file."""
    perceptual_hash: NDArray[np.uint16] | None = None
    """Perceptual hash [HASH_BANDS]."""
    size: tuple[int, int] = (0, 0)
    """Rows and columns."""
    thumbnail: NDArray[np.uint8] | None = None
    """[H,W], the longer side THUMBNAIL_SIDE pixels or less."""


class ImageWorkers(Protocol):
    """Function that examines files and yields their features in order."""

    def __call__(self, paths: Iterable[str]) -> Iterator[ImageFeatures]: ...


@contextmanager
def image_workers() -> Iterator[ImageWorkers]:
    """Start threads that examine image files on all cores."""
    with ThreadPoolExecutor() as pool:
        yield lambda paths: pool.map(examine_image, paths)


def examine_image(path: str) -> ImageFeatures:
    """Read an image file. A file that cannot be read gives features with an error, not an exception."""
    file = Path(path)
    if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises if a parent folder may not be entered
        return ImageFeatures(state=ImageState.MISSING, error=f"{path}: missing")
    try:
        pixels = read_pixels(file)
        content = fingerprint(file.read_bytes())
    except StudyError as error:
        return ImageFeatures(state=ImageState.UNREADABLE, error=str(error))
    import imagehash  # imports PyWavelets, which `--no-images` does not need

    image = PIL.Image.fromarray((pixels * 255).astype(np.uint8))
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=2)
    bits = imagehash.phash(image, hash_size=HASH_BANDS).hash
    return ImageFeatures(
        state=ImageState.SOUND if pixels.any() else ImageState.BLANK,
        content=content,
        perceptual_hash=np.packbits(bits).view(">u2").astype(np.uint16),
        size=(pixels.shape[0], pixels.shape[1]),
        thumbnail=np.asarray(image),
    )


def are_similar(first: NDArray[np.uint16], second: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Return whether images are similar [N], for pairs of perceptual hashes [N,HASH_BANDS]."""
    return np.asarray(np.bitwise_count(first ^ second).sum(axis=1) <= MAX_DIFFERENT_BITS)
