"""PNG, JPEG and TIFF pictures -> records and pixels."""

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
from report_gen.library_warnings import ignore_warnings
from report_gen.records.study import Image

MAX_PIXELS = 64 * 2**20

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
_FORMATS = ("PNG", "JPEG", "TIFF")
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", *_SIXTEEN_BITS)
_PHOTOMETRIC_INTERPRETATION = 262
"""TIFF 6.0 section 3: 0 is WhiteIsZero. Pillow turns it for 1 and 8 bits, not for 16."""

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
"""What Pillow raises on bytes that are not the picture they begin as."""


def is_picture(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a PNG, a JPEG or a TIFF."""
    return head.startswith(_SIGNATURES)


def describe_picture(path: Path, sha256: str) -> Image:
    """Rows and columns as the picture is to be shown, decoded once to be sure that it is whole; the view stays unknown.

    Raises:
        StudyError: the file is broken, too large, of several pages, or has pixels that are not supported.
    """
    with _open(path) as picture:
        columns, rows = ImageOps.exif_transpose(picture).size
    return Image(path=path, sha256=sha256, rows=rows, columns=columns)


def read_picture_pixels(path: Path) -> NDArray[np.float32]:
    """Brightness [H,W] in 0..1, 0 = black; colour becomes luma, transparency lies on black.

    A picture has no window, so a value is divided by the largest that its type holds: 255, or 65,535, or 4,095 where a
    16-bit picture has no larger one and so is a 12-bit radiograph.

    Raises:
        StudyError: see `describe_picture`; also where the picture is truncated.
    """
    with _open(path) as picture:
        white_is_zero = getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC_INTERPRETATION) == 0
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in _SIXTEEN_BITS:
            values = np.asarray(upright)
            peak = 4095 if values.max(initial=0) < 4096 else 65535
            brightness = values.astype(np.float32) / np.float32(peak)
            return 1 - brightness if white_is_zero else brightness
        return np.asarray(_on_black(upright).convert("L"), dtype=np.float32) / np.float32(255)


@contextmanager
def _open(path: Path) -> Iterator[PIL.Image.Image]:
    """The first and only page, checked before it is decoded; what Pillow raises meanwhile becomes a StudyError."""
    try:
        ignore_warnings(module=r"PIL\b")  # our own limit is lower than the one Pillow warns at
        with PIL.Image.open(path, formats=_FORMATS) as picture:
            _check(picture, path)
            yield picture
    except PermissionError as error:
        raise StudyError(path, "cannot be read (permission denied); check the file.") from error
    except _BROKEN as error:
        raise StudyError(path, "the picture is broken or truncated; copy or export it again.") from error


def _check(picture: PIL.Image.Image, path: Path) -> None:
    columns, rows = picture.size
    if rows * columns > MAX_PIXELS:
        raise StudyError(path, f"{rows} x {columns} pixels are more than the {MAX_PIXELS} allowed; export it smaller.")
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:  # MPO: a JPEG with its preview behind it
        raise StudyError(path, "several pages in one picture are not supported; export each page as a PNG.")
    if picture.mode not in _MODES:
        raise StudyError(path, f"pixels of Pillow mode {picture.mode} are not supported; export 8 or 16 bits of grey.")


def _on_black(picture: PIL.Image.Image) -> PIL.Image.Image:
    if not picture.has_transparency_data:
        return picture
    rgba = picture.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", rgba.size, "black"), rgba)
