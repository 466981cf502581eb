"""Read PNG, JPEG, TIFF and WebP files: image records and pixels."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps
from PIL.ImageFile import ImageFile

from report_gen.errors import NotAnImageError, StudyError, is_out_of_memory
from report_gen.imaging.bounded_file import MAX_HEADER_BYTES, BoundedFile
from report_gen.imaging.decoder_settings import configure_decoders
from report_gen.imaging.limits import MAX_PICTURE_BYTES, MAX_PIXELS, check_pixel_count
from report_gen.imaging.loaded_image import LoadedImage
from report_gen.imaging.memory import image_memory, memory_errors
from report_gen.imaging.memory_need import raster_memory, tile_size
from report_gen.imaging.synthetic import synthetic_rows
from report_gen.records import DRAWING, Image

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of PNG, JPEG, TIFF and BigTIFF, the last two in either byte order."""
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP")
_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", *_SIXTEEN_BITS)
_BITS_PER_SAMPLE = 258
"""TIFF 6.0 section 3. Pillow unpacks samples of 12 bits into 16."""
_PHOTOMETRIC_INTERPRETATION = 262
"""TIFF 6.0 section 3: 0 is WhiteIsZero. Pillow inverts images of 1 and 8 bits, but not of 16."""

_MAX_READS = 2**20
"""Most reads of a picture. A PNG takes three for each chunk, and a chunk usually has 8 kilobytes or more."""

_DARK, _HALF = 64, 128
"""Pillow keeps the high byte of color of 16 bits. It is below these values if the color uses 14 or 15 bits."""

_BIG_ENDIAN_BIG_TIFF = b"MM\0+"

_BRIGHT_SHARE = 0.01
"""Largest share of the pixels that a burned-in marker takes. It may be brighter than the whole range of the image."""
_MARKER_BITS = 2
"""Number of bits by which the values of a marker exceed those of the image."""

_BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""Exceptions that Pillow raises on bytes that do not match their signature."""


def is_raster(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is a PNG, a JPEG, a TIFF or a WebP."""
    return head.startswith(_SIGNATURES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")


def describe_raster(path: Path, sha256: str) -> Image:
    """Return the record of an image file, after one full decode that proves the file is complete.

    Rows and columns are counted after the EXIF orientation is applied. The view position stays unknown.

    Raises:
        NotAnImageError: The file is a drawing that report-gen made, such as the attention over an image.
        StudyError: The file is broken, too large, has several pages, or its pixel format is not supported.
    """
    with _open(path) as image:
        columns, rows = ImageOps.exif_transpose(image).size
        synthetic, is_drawing = synthetic_rows(image) is not None, DRAWING in image.info
    if is_drawing:
        reason = "is a drawing of report-gen, not an image of the patient; give the study that it shows"
        raise NotAnImageError(path, reason, "drawing of report-gen")
    return Image(path=path, sha256=sha256, rows=rows, columns=columns, synthetic=synthetic)


class RasterFile:
    """A picture file, whose only image is read when it is loaded.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def image(self, frame: int | None) -> LoadedImage:
        """Return the display intensities; see `read_raster_image`."""
        if frame is not None:
            raise StudyError(self._path, f"has one image, but not frame {frame}; read the study again")
        return read_raster_image(self._path)

    def values(self, frame: int | None) -> NDArray[np.float32]:
        """Return the display intensities, because a picture has no other values."""
        return self.image(frame).pixels


def read_raster_image(path: Path) -> LoadedImage:
    """Return the display intensities. Color becomes luma, and transparency black.

    These formats carry no window. A value of 8 bits is divided by 255. A value of 16 bits is divided by the largest
    value of the bits that the image uses, because converters store radiographs of 10 to 14 bits as they are.

    Raises:
        StudyError: See `describe_raster`; also if the file is truncated.
    """
    with _open(path) as image:
        tags = getattr(image, "tag_v2", {})
        white_is_zero, bits = tags.get(_PHOTOMETRIC_INTERPRETATION) == 0, tags.get(_BITS_PER_SAMPLE, (16,))[0]
        drops_low_bytes = image.mode not in _SIXTEEN_BITS and any(";16" in str(tile.args) for tile in image.tile)
        upright = ImageOps.exif_transpose(image)
        if upright.mode in _SIXTEEN_BITS:
            loaded = _scale_sixteen_bits(np.asarray(upright), bits)
            return LoadedImage(1 - loaded.pixels, loaded.notices) if white_is_zero else loaded
        gray = np.asarray(_on_black(upright).convert("L"), dtype=np.float32)
        if not drops_low_bytes or gray.max(initial=0) >= _HALF:
            return LoadedImage(gray / np.float32(255))
        if gray.max(initial=0) < _DARK:
            raise StudyError(path, "16-bit color that uses at most 14 bits is not supported; export it as 16-bit gray")
        return LoadedImage(gray / np.float32(_HALF - 1), (_scaled_notice(15),))


def _scale_sixteen_bits(values: NDArray[Any], bits: int) -> LoadedImage:
    """Scale values of `bits` bits by the range that they use, but at least by 8 bits.

    A few much brighter pixels, such as a burned-in marker, do not count. They become white.
    """
    if bits != 16:
        return LoadedImage(values.astype(np.float32) / np.float32(2**bits - 1))
    used = _bit_length(values.max(initial=0))
    ordinary = _bit_length(np.quantile(values, 1 - _BRIGHT_SHARE, method="higher"))
    if used - ordinary >= _MARKER_BITS:
        scaled = (values.astype(np.float32) / np.float32(2**ordinary - 1)).clip(0, 1)
        marker = "and a few pixels, such as a burned-in marker, are brighter; they are shown white"
        return LoadedImage(scaled, (f"{_scaled_notice(ordinary)}, {marker}",))
    notices = () if used == 16 else (_scaled_notice(used),)
    return LoadedImage(values.astype(np.float32) / np.float32(2**used - 1), notices)


def _bit_length(value: Any) -> int:
    return max(8, int(value).bit_length())


def _scaled_notice(bits: int) -> str:
    return f"the 16-bit image uses only {bits} bits and was scaled by their range"


@contextmanager
def _open(path: Path) -> Iterator[ImageFile]:
    """Open a file, check it before it is decoded, and decode it. Exceptions of Pillow become a StudyError."""
    configure_decoders()  # the limit of check_pixel_count is below the size at which Pillow warns
    # Opened by name, Pillow maps an uncompressed TIFF into memory and shears it when it applies the orientation.
    with (
        memory_errors(path),
        _picture_errors(path),
        path.open("rb", buffering=0) as raw,
        BoundedFile(raw, path) as file,
    ):
        size = os.fstat(file.fileno()).st_size
        if size > MAX_PICTURE_BYTES:
            raise StudyError(path, f"has more than {MAX_PICTURE_BYTES} bytes; export a smaller image")
        if file.peek(4)[:4] == _BIG_ENDIAN_BIG_TIFF:  # Pillow writes and reads only the little-endian kind
            raise StudyError(path, "big-endian BigTIFF is not supported; convert it with tiffcp -L, or to PNG")
        is_webp = file.peek(12)[8:12] == b"WEBP"  # Pillow reads the whole file at once
        header = MAX_HEADER_BYTES + (size if is_webp else 0)
        with file.bounded(header), PIL.Image.open(file, formats=_FORMATS) as image:
            _check(image, path)
            with (
                image_memory(path, image.height, image.width, raster_memory(image, size)),
                file.bounded(size + MAX_HEADER_BYTES, _MAX_READS),
            ):
                yield image


@contextmanager
def _picture_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise StudyError(path, "cannot be read (permission denied); check the file permissions") from error
    except PIL.Image.DecompressionBombError as error:
        raise StudyError(path, f"the pixels exceed the limit of {MAX_PIXELS}; export a smaller image") from error
    except _BROKEN as error:
        if is_out_of_memory(error):
            raise
        if "too large" in str(error) or "Too much memory" in str(error):  # texts and profiles of a PNG, inflated
            reason = "the texts or color profiles beside the pixels are too large; export the image without them"
            raise StudyError(path, reason) from error
        raise StudyError(path, "the image is broken or truncated; copy or export it again") from error


def _check(image: ImageFile, path: Path) -> None:
    columns, rows = image.size
    check_pixel_count(rows, columns, path)
    check_pixel_count(*tile_size(image), path)
    if image.format != "MPO" and getattr(image, "is_animated", False):  # MPO: a JPEG followed by its preview
        raise StudyError(path, "several pages in one file are not supported; export each page as a PNG")
    if image.mode not in _MODES:
        raise StudyError(path, f"pixels of Pillow mode {image.mode} are not supported; export 8-bit or 16-bit gray")


def _on_black(image: PIL.Image.Image) -> PIL.Image.Image:
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", rgba.size, "black"), rgba)
