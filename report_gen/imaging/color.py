"""Convert color images to luma."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from report_gen.imaging.stored_bits import StoredBits

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in the luma of ITU-R BT.601, as in YBR_FULL (PS3.3 C.7.6.3.1.2)."""


def luma(rgb: NDArray[Any], dataset: Dataset, precision: int) -> NDArray[np.float32]:
    """Return the luma [H,W] in 0..1 of an RGB image.

    Args:
        rgb: Values [H,W,3] as they lie in Bits Allocated.
        dataset: Attributes of the Image Pixel Module.
        precision: Number of allocated bits that the decoder filled.
    """
    bits = StoredBits.from_header(dataset, precision)
    if bits.shift or bits.count < 8 * rgb.itemsize:
        rgb = bits.extract(rgb)
    return _weigh(rgb, 2**bits.count - 1)


def palette_luma(stored: NDArray[Any], dataset: Dataset, precision: int) -> NDArray[np.float32]:
    """Return the luma [H,W] in 0..1 of an image of palette colors.

    Args:
        stored: Indices [H,W] into the palette, as they lie in Bits Allocated.
        dataset: Attributes of the Image Pixel Module.
        precision: Number of allocated bits that the decoder filled.
    """
    unsigned = np.dtype(f"u{stored.itemsize}")
    index = stored.astype(stored.dtype.newbyteorder("="), copy=False).view(unsigned)
    levels = np.arange(2 ** (8 * stored.itemsize)).astype(unsigned)
    values = StoredBits.from_header(dataset, precision).extract(levels)
    rgb = apply_color_lut(values, _with_words(dataset))[:, :3]
    # Devices write tables of 8 bits under a descriptor of 16 bits, and the other way round.
    table = _weigh(rgb, 255 if rgb.max(initial=0) <= 255 else 65535)
    return np.take(table, index)


def _with_words(dataset: Dataset) -> Dataset:
    """Return the palette with entries of 16 bits in the byte order of this machine.

    pydicom reads tables of a big endian file in the order of the machine, fails on an odd number of entries of 8 bits,
    and looks up only 256 of them.
    """
    palette = Dataset()
    palette.set_original_encoding(*dataset.original_encoding)
    palette.update({element.tag: element for element in dataset.group_dataset(0x0028)})
    for color in ("Red", "Green", "Blue"):
        keyword = f"{color}PaletteColorLookupTableData"
        if keyword in dataset:
            data = dataset[keyword].value
            count = int(dataset[f"{color}PaletteColorLookupTableDescriptor"].value[0]) % 2**16 or 2**16
            order = "<" if dataset.original_encoding[1] else ">"
            table = np.frombuffer(data, dtype="u1" if len(data) < 2 * count else f"{order}u2")[:count]
            setattr(palette, keyword, table.astype(np.uint16).tobytes())
    return palette


def _weigh(rgb: NDArray[Any], peak: int) -> NDArray[np.float32]:
    """Return the luma in 0..1 of colors [...,3] with values 0..peak."""
    return ((rgb.astype(np.float32) @ _LUMA) / np.float32(peak)).clip(0, 1)
