"""Bound the memory that an image takes while it is read, by its header.

The figures are peaks that were measured with all copies that reading makes, rounded up; the tests measure them again.
"""

from __future__ import annotations

import math

from PIL.ImageFile import ImageFile
from pydicom import Dataset

from report_gen.imaging.square_pixels import square_size

_GRAY = 24
"""Bytes per gray pixel of up to 16 bits, which are displayed through a table of their levels."""
_WIDE_GRAY = 64
"""Bytes per gray pixel of more than 16 bits, beside two copies of the stored value, because its levels are sorted."""
_COLOR = 20
"""Bytes per color pixel, beside as much for each byte of a sample: colors are computed as numbers of 64 bits."""
_RESAMPLING = 16, 12
"""Bytes per pixel before and after resampling to square pixels."""

_NIFTI = 40
"""Bytes per pixel of a NIfTI slice, beside two copies of the stored value: numbers of 64 bits and their percentiles."""

_ONE_BAND = 16
"""Bytes per pixel of a gray picture."""
_SEVERAL_BANDS = 24
"""Bytes per pixel of a picture in color or with transparency."""
_ONE_BAND_MODES = ("1", "L", "P", "I;16", "I;16B", "I;16L", "I;16N")
_TILE_SAMPLE_BYTES = 8
"""Most bytes per pixel of a TIFF tile, which libtiff decodes as a whole: four samples of 16 bits."""
_TILE_WIDTH, _TILE_LENGTH = 322, 323
"""TIFF 6.0 section 15."""


def dicom_memory(dataset: Dataset, stored: int, aspect: float) -> int:
    """Return the most memory that reading the image of a DICOM file takes, bytes.

    Args:
        dataset: Attributes of the Image Pixel Module that `check_pixels` accepted.
        stored: Size of the pixels in the file, bytes.
        aspect: Height of a pixel divided by its width.
    """
    pixels = int(dataset.Rows) * int(dataset.Columns)
    sample_bytes = math.ceil(int(dataset.BitsAllocated) / 8)
    if int(dataset.SamplesPerPixel) > 1:
        per_pixel = _COLOR * (1 + sample_bytes)
    else:
        per_pixel = _GRAY if sample_bytes <= 2 else _WIDE_GRAY + 2 * sample_bytes
    return 2 * stored + max(per_pixel * pixels, _resampling(int(dataset.Rows), int(dataset.Columns), aspect))


def nifti_memory(rows: int, columns: int, sample_bytes: int, aspect: float) -> int:
    """Return the most memory that reading a slice of a NIfTI file takes, bytes.

    Args:
        rows: Rows of the slice.
        columns: Columns of the slice.
        sample_bytes: Bytes of a stored value.
        aspect: Height of a pixel divided by its width.
    """
    return (_NIFTI + 2 * sample_bytes) * rows * columns + _resampling(rows, columns, aspect)


def _resampling(rows: int, columns: int, aspect: float) -> int:
    before, after = _RESAMPLING
    square_rows, square_columns = square_size(rows, columns, aspect)
    return before * rows * columns + after * square_rows * square_columns if aspect != 1 else 0


def raster_memory(image: ImageFile, stored: int) -> int:
    """Return the most memory that reading a PNG, JPEG, TIFF or WebP takes, bytes.

    Args:
        image: The file as Pillow opened it, not decoded.
        stored: Size of the file, bytes.
    """
    has_one_band = image.mode in _ONE_BAND_MODES and "transparency" not in image.info
    pixels = image.width * image.height
    need = (_ONE_BAND if has_one_band else _SEVERAL_BANDS) * pixels
    if image.format == "WEBP":  # read as a whole, and decoded into two canvases; other formats are decoded in pieces
        need += 2 * stored + 8 * pixels
    tile_rows, tile_columns = tile_size(image)
    return need + _TILE_SAMPLE_BYTES * tile_rows * tile_columns


def tile_size(image: ImageFile) -> tuple[int, int]:
    """Return the rows and columns of the tiles of a TIFF, which may be larger than the image; 0 x 0 without tiles."""
    tags = getattr(image, "tag_v2", {})
    return int(tags.get(_TILE_LENGTH, 0)), int(tags.get(_TILE_WIDTH, 0))
