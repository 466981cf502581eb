"""The mark of a synthetic image: a band with text below the image, and entries in the PNG file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

MARK = "SYNTHETIC"
_ROWS = "report-gen synthetic rows"
"""Key of the text entry with the number of rows of the image, above the band."""
_PNG = b"\x89PNG\r\n\x1a\n"
_BAND = 1 / 6
"""Height of the band in the width of the image."""


def encode_synthetic(pixels: NDArray[np.uint8], description: str) -> bytes:
    """Return a synthetic image as a marked PNG.

    The mark lies below the image rather than in it. A mark in the image would tell a classifier which images are
    synthetic, and with them which finding they were drawn with.

    Args:
        pixels: The image [H,W].
        description: How the image was made, for the text entry `Description`.
    """
    rows, columns = pixels.shape
    band = PIL.Image.new("L", (columns, max(1, round(columns * _BAND))), 0)
    font = ImageFont.load_default(8)
    left, top, right, bottom = font.getbbox(MARK)
    text = PIL.Image.new("L", (int(right - left) + 1, int(bottom - top) + 1), 0)
    ImageDraw.Draw(text).text((-left, -top), MARK, 255, font)
    scale = min(columns / text.width, band.height / text.height)
    text = text.resize((max(1, int(text.width * scale)), max(1, int(text.height * scale))))
    band.paste(text, ((columns - text.width) // 2, (band.height - text.height) // 2))
    marked = PIL.Image.fromarray(np.concatenate([pixels, np.asarray(band)]))
    entries = PngInfo()
    entries.add_text("Description", description)
    entries.add_text(_ROWS, str(rows))
    buffer = io.BytesIO()
    marked.save(buffer, "PNG", pnginfo=entries)
    return buffer.getvalue()


def synthetic_rows(image: PIL.Image.Image) -> int | None:
    """Return the number of rows above the band of a marked PNG; None if the image is not marked as synthetic."""
    value = image.info.get(_ROWS)
    if not isinstance(value, str) or not value.isdecimal() or len(value) > 9:
        return None
    return min(int(value), image.height)


def read_synthetic_rows(path: Path) -> int | None:
    """Return the number of rows above the band of a marked PNG file; None for other files.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_PNG)) != _PNG:
            return None
        file.seek(0)
        with PIL.Image.open(file, formats=("PNG",)) as image:
            return synthetic_rows(image)
