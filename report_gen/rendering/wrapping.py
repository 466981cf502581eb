"""Wrap texts to the width in which they are drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from PIL import ImageFont

_SMALL_CHARACTER = 0.072
"""Width of a character of the font size "small", inches; most are narrower."""


def wrap_text(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> Iterator[str]:
    """Yield the lines of a text that is wrapped to a width. A word that is wider than a line is divided.

    Args:
        text: Text.
        font: Font that the text is drawn in.
        width: Width of a line in the unit of the size of the font, such as pixels.
    """
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            yield line
            longer = word
        while font.getlength(longer) > width:
            end = len(longer) - 1
            while end > 1 and font.getlength(longer[:end]) > width:
                end -= 1
            yield longer[:end]
            longer = longer[end:]
        line = longer
    yield line


def wrap_small(text: str, inches: float) -> str:
    """Return a text in lines that fit into a width in the font size "small"; matplotlib would cut it at the edges."""
    return textwrap.fill(text, int(inches / _SMALL_CHARACTER))
