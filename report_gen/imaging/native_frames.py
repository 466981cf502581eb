"""Read one frame of pixels that are not compressed. Frames follow each other without padding (PS3.5 8.2)."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from pydicom import Dataset
from pydicom.pixels.utils import get_expected_length

from report_gen.imaging.pixel_checks import PixelLocation


def read_native_frame(dataset: Dataset, file: BinaryIO, location: PixelLocation, frame: int) -> bytes:
    """Return the pixels of one frame as they would lie in a file of this frame only.

    Args:
        dataset: Attributes of the frame, with Number of Frames 1.
        file: The file.
        location: Where the pixels lie, from `check_pixels`.
        frame: Index of the frame.
    """
    if int(dataset.BitsAllocated) == 1:
        return _read_bits(dataset, file, location, frame)
    size = get_expected_length(dataset)
    offset = frame * size
    are_words_swapped = (
        location.vr == "OW" and not dataset.original_encoding[1] and int(dataset.BitsAllocated) == 8 and offset % 2 == 1
    )
    if not are_words_swapped:
        return _read(file, location, offset, size + size % 2)
    # The frame begins with the second pixel of a word, of which big endian files store the second pixel first.
    words = np.frombuffer(_read(file, location, offset - 1, size + 1 + (size + 1) % 2), ">u2")
    pixels = words.astype("<u2").tobytes()[1 : size + 1]
    return np.frombuffer(pixels + bytes(size % 2), "<u2").astype(">u2").tobytes()


def _read_bits(dataset: Dataset, file: BinaryIO, location: PixelLocation, frame: int) -> bytes:
    """Return the pixels of one bit each. The first of a frame may lie within a byte."""
    count = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel)
    first = frame * count
    start, shift = divmod(first, 8)
    data = _read(file, location, start, (shift + count + 7) // 8)
    if shift == 0:
        return data
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[shift : shift + count]
    return np.packbits(bits, bitorder="little").tobytes()


def _read(file: BinaryIO, location: PixelLocation, offset: int, size: int) -> bytes:
    file.seek(location.start + offset)
    return file.read(min(size, location.end - location.start - offset))
