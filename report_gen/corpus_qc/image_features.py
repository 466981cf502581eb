"""An image looked at: whether it can be read, what its bytes are, how it looks, and a small picture of it."""

from __future__ import annotations

import os.path
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol

import imagehash
import numpy as np
import PIL.Image
from numpy.typing import NDArray

from report_gen.corpus_qc.text_statistics import fingerprint
from report_gen.errors import StudyError
from report_gen.imaging import read_pixels

THUMBNAIL = 128
"""Longer side of the small picture, pixels."""
PERCEPTUAL_HASH = 16
"""Bands of 16 bits of the perceptual hash (imagehash.phash of hash size 16), low frequencies first."""
ALIKE_BITS = 20
"""Two images look alike when at most so many of the 256 bits differ. Measured on ChestX-ray14: films of 490 patients
differ in 60 and more; a film made smaller, saved again or given another contrast differs from itself in 8 at most, one
cropped by 2% or turned by 2 degrees in about 40, so these are not found."""


class ImageState(IntEnum):
    SOUND = 0
    BLANK = 1
    """Read, and all of one grey."""
    MISSING = 2
    UNREADABLE = 3


IMAGE = np.dtype(
    [
        ("study", np.uint32),
        ("place", np.uint32),
        ("state", np.uint8),
        ("content", np.uint64),
        ("looks", np.uint16, PERCEPTUAL_HASH),
        ("size", np.uint32, 2),
    ]
)
"""study: number of its row; place: among the images of the study; state: of ImageState; content: `fingerprint` of the
file's bytes; looks: perceptual hash; size: rows and columns. The last three are 0 for what cannot be read."""


@dataclass(frozen=True, kw_only=True)
class ImageFeatures:
    """What looking at one file gave."""

    state: ImageState
    fault: str = ""
    """Names the file and what is wrong with it."""
    content: int = 0
    perceptual_hash: NDArray[np.uint16] | None = None
    size: tuple[int, int] = (0, 0)
    thumbnail: NDArray[np.uint8] | None = None
    """[H,W], the longer side THUMBNAIL pixels or less."""


class ImageWorkers(Protocol):
    def __call__(self, paths: Iterable[str]) -> Iterator[ImageFeatures]: ...


@contextmanager
def image_workers() -> Iterator[ImageWorkers]:
    """Looks at files, on all cores, in their order."""
    # What decoders warn of quotes header values; and filters set in a thread are set in all.
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.simplefilter("ignore")
        yield lambda paths: pool.map(examine_image, paths)


def examine_image(path: str) -> ImageFeatures:
    """Reads a file, whatever is wrong with it."""
    file = Path(path)
    if not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises where a folder above may not be entered
        return ImageFeatures(state=ImageState.MISSING, fault=f"{path}: missing")
    try:
        pixels = read_pixels(file)
        content = fingerprint(file.read_bytes())
    except StudyError as error:
        return ImageFeatures(state=ImageState.UNREADABLE, fault=str(error))
    picture = PIL.Image.fromarray((pixels * 255).astype(np.uint8))
    picture.thumbnail((THUMBNAIL, THUMBNAIL), reducing_gap=2)
    return ImageFeatures(
        state=ImageState.SOUND if pixels.any() else ImageState.BLANK,
        content=content,
        perceptual_hash=np.packbits(imagehash.phash(picture, hash_size=PERCEPTUAL_HASH).hash)
        .view(">u2")
        .astype(np.uint16),
        size=(pixels.shape[0], pixels.shape[1]),
        thumbnail=np.asarray(picture),
    )


def are_similar(first: NDArray[np.uint16], second: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Whether images look alike, pair by pair: perceptual hashes [N,LOOKS] to answers [N]."""
    return np.asarray(np.bitwise_count(first ^ second).sum(axis=1) <= ALIKE_BITS)
