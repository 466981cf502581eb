"""Draw the images of a batch as the model gets them, for a visual check of cropping and augmentation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from report_gen.records import DRAWING

_COLUMNS = 8
_SIDES = (128, 256)
"""Smallest and largest side of a tile, pixels."""
_GAP, _LINE = 6, 18


@dataclass(frozen=True)
class Strip:
    """Images drawn together under a heading."""

    heading: str
    squares: torch.Tensor
    """[n,size,size] 0..1."""
    labels: Sequence[str]
    """n labels, one per image."""


def draw_contact_sheet(strips: Sequence[Strip]) -> bytes:
    """Draw strips below each other as a gray PNG, with a label under every image; tiles are square.

    The PNG is marked as a drawing, so that `draft` does not take it for an image.
    """
    side = max(_SIDES[0], min(_SIDES[1], max(strip.squares.shape[-1] for strip in strips)))
    heights = [_LINE + _GAP + _rows(strip) * (side + _LINE + _GAP) for strip in strips]
    columns = min(_COLUMNS, max(len(strip.labels) for strip in strips))
    sheet = PIL.Image.new("L", (columns * (side + _GAP) + _GAP, sum(heights) + _GAP), 255)
    top = _GAP
    for strip, height in zip(strips, heights, strict=True):
        _draw_strip(sheet, strip, top, side)
        top += height
    buffer = io.BytesIO()
    entries = PngInfo()
    entries.add_text(DRAWING, "not an image of a patient")
    sheet.save(buffer, "PNG", pnginfo=entries)
    return buffer.getvalue()


def _rows(strip: Strip) -> int:
    return -(-len(strip.labels) // _COLUMNS)


def _draw_strip(sheet: PIL.Image.Image, strip: Strip, top: int, side: int) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((_GAP, top), strip.heading, 0, font)
    for number, (square, label) in enumerate(zip(strip.squares, strip.labels, strict=True)):
        row, column = divmod(number, _COLUMNS)
        left, upper = _GAP + column * (side + _GAP), top + _LINE + _GAP + row * (side + _LINE + _GAP)
        pixels = (square.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        sheet.paste(PIL.Image.fromarray(np.ascontiguousarray(pixels)).resize((side, side)), (left, upper))
        draw.text((left, upper + side + 1), _fitted(label, font, side), 0, font)


def _fitted(label: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten a label from the front until it fits: ids of a corpus often begin alike."""
    label = " ".join(label.split())
    if font.getlength(label) <= width:
        return label
    while label and font.getlength(f"...{label}") > width:
        label = label[1:]
    return f"...{label}"
