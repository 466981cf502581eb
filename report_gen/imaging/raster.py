"""Read PNG, JPEG and TIFF files: image records and pixels."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps

from report_gen.errors import StudyError
from report_gen.imaging.decoder_warnings import silence_decoder_warnings
from report_gen.imaging.limits import check_pixel_count
from report_gen.records import Image

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_FORMATS = ("PNG", "JPEG", "TIFF")
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", *_SIXTEEN_BITS)
_PHOTOMETRIC_INTERPRETATION = 262
"""TIFF 6.0 section 3: 0 is WhiteIsZero. Pillow inverts images of 1 and 8 bits, but not of 16."""

_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    PIL.Image.DecompressionBombError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""Exceptions that Pillow raises on bytes that do not match their signature."""


def is_raster(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is a PNG, a JPEG or a TIFF."""
    return head.startswith(_SIGNATURES)


def describe_raster(path: Path, sha256: str) -> Image:
    """Return the record of an image file, after one full decode that proves the file is complete.

    Rows and columns are counted after the EXIF orientation is applied. The view position stays unknown.

    Raises:
        StudyError: The file is broken, too large, has several pages, or its pixel format is not supported.
    """
    with _open(path) as image:
        columns, rows = ImageOps.exif_transpose(image).size
    return Image(path=path, sha256=sha256, rows=rows, columns=columns)


def read_raster_pixels(path: Path) -> NDArray[np.float32]:
    """Return display intensities [H,W] in 0..1, 0 = black. Color becomes luma, and transparency black.

    These formats carry no window, so a value is divided by the largest value of its type: 255 or 65,535. The divisor
    is 4,095 if no 16-bit value is larger, because such an image is a 12-bit radiograph.

    Raises:
        StudyError: See `describe_raster`; also if the file is truncated.
    """
    with _open(path) as image:
        white_is_zero = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC_INTERPRETATION) == 0
        upright = ImageOps.exif_transpose(image)
        if upright.mode in _SIXTEEN_BITS:
            values = np.asarray(upright)
            peak = 4095 if values.max(initial=0) < 4096 else 65535
            intensities = values.astype(np.float32) / np.float32(peak)
            return 1 - intensities if white_is_zero else intensities
        return np.asarray(_on_black(upright).convert("L"), dtype=np.float32) / np.float32(255)


@contextmanager
def _open(path: Path) -> Iterator[PIL.Image.Image]:
    """Open a file and check it before it is decoded. Exceptions of Pillow become a StudyError."""
    silence_decoder_warnings()  # the limit of check_pixel_count is below the size at which Pillow warns
    try:
        with PIL.Image.open(path, formats=_FORMATS) as image:
            _check(image, path)
            yield image
    except PermissionError as error:
        raise StudyError(path, "cannot be read (permission denied); check the file permissions") from error
    except _BROKEN as error:
        raise StudyError(path, "the image is broken or truncated; copy or export it again") from error


def _check(image: PIL.Image.Image, path: Path) -> None:
    columns, rows = image.size
    check_pixel_count(rows, columns, path)
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: a JPEG followed by its preview
        raise StudyError(path, "several pages in one file are not supported; export each page as a PNG")
    if image.mode not in _MODES:
        raise StudyError(path, f"pixels of Pillow mode {image.mode} are not supported; export 8-bit or 16-bit gray")


def _on_black(image: PIL.Image.Image) -> PIL.Image.Image:
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", rgba.size, "black"), rgba)
