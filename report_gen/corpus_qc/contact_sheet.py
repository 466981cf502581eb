"""Small pictures side by side with a word under each, as one picture."""

from __future__ import annotations

import io
import math
from base64 import b64encode
from collections.abc import Sequence

import PIL.Image
import PIL.ImageDraw

from report_gen.corpus_qc.image_features import THUMBNAIL
from report_gen.corpus_qc.scan import Picture

_GAP, _CAPTION = 6, 14
_QUALITY = 80


def draw_sheet(pictures: Sequence[Picture], *, columns: int = 8) -> PIL.Image.Image:
    """A sheet of grey pictures, row by row, each in the middle of its field."""
    width, height = THUMBNAIL + _GAP, THUMBNAIL + _CAPTION + _GAP
    sheet = PIL.Image.new("L", (columns * width + _GAP, math.ceil(len(pictures) / columns) * height + _GAP), 255)
    pen = PIL.ImageDraw.Draw(sheet)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        left, top = column * width + _GAP, row * height + _GAP
        rows, across = picture.pixels.shape
        sheet.paste(
            PIL.Image.fromarray(picture.pixels), (left + (THUMBNAIL - across) // 2, top + (THUMBNAIL - rows) // 2)
        )
        pen.text((left, top + THUMBNAIL), picture.caption, fill=0)
    return sheet


def embed(sheet: PIL.Image.Image) -> str:
    """The sheet as a JPEG in a `data:` address."""
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{b64encode(data.getvalue()).decode()}"
