"""Draw thumbnails with captions on one sheet."""

from __future__ import annotations

import io
import math
from base64 import b64encode
from collections.abc import Sequence

import PIL.Image
import PIL.ImageDraw

from report_gen.corpus_qc.image_features import THUMBNAIL_SIDE
from report_gen.corpus_qc.scan import Thumbnail

_GAP, _CAPTION_HEIGHT = 6, 14
"""Pixels between thumbnails, and pixels for a caption."""
_JPEG_QUALITY = 80


def draw_contact_sheet(thumbnails: Sequence[Thumbnail], *, columns: int = 8) -> PIL.Image.Image:
    """Draw thumbnails row by row, each centered in a cell of equal size, with its caption below."""
    width, height = THUMBNAIL_SIDE + _GAP, THUMBNAIL_SIDE + _CAPTION_HEIGHT + _GAP
    sheet = PIL.Image.new("L", (columns * width + _GAP, math.ceil(len(thumbnails) / columns) * height + _GAP), 255)
    pen = PIL.ImageDraw.Draw(sheet)
    for number, thumbnail in enumerate(thumbnails):
        row, column = divmod(number, columns)
        left, top = column * width + _GAP, row * height + _GAP
        rows, across = thumbnail.pixels.shape
        offset = (left + (THUMBNAIL_SIDE - across) // 2, top + (THUMBNAIL_SIDE - rows) // 2)
        sheet.paste(PIL.Image.fromarray(thumbnail.pixels), offset)
        pen.text((left, top + THUMBNAIL_SIDE), thumbnail.caption, fill=0)
    return sheet


def encode_data_url(sheet: PIL.Image.Image) -> str:
    """Return the sheet as a `data:` URL of a JPEG."""
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=_JPEG_QUALITY)
    return f"data:image/jpeg;base64,{b64encode(data.getvalue()).decode()}"
