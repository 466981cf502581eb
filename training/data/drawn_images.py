"""Draw images that are no radiographs: shapes, gradients, noise and pages of text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_WORDS = ("invoice", "report", "total", "page", "date", "name", "signature", "address", "figure", "table")
_KINDS = 4


def draw_foreign_image(size: int, seed: int) -> NDArray[np.uint8]:
    """Return an image [size,size], 0..255: shapes, text, noise, or a gradient alone, by `seed % 4`."""
    rng = np.random.default_rng(seed)
    background = _background(size, rng)
    image = Image.fromarray(background)
    kind = seed % _KINDS
    if kind == 0:
        _draw_shapes(ImageDraw.Draw(image), size, rng)
    elif kind == 1:
        _draw_text(ImageDraw.Draw(image), size, rng)
    elif kind == 2:
        noise = rng.integers(0, 256, (size // 8, size // 8), dtype=np.uint8)
        image = Image.fromarray(noise).resize((size, size), Image.Resampling(int(rng.integers(0, 4))))
    return np.asarray(image)


def _background(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a gradient in a random direction between two random gray levels."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    first, last, weight = rng.random(3)
    ramp = first + (last - first) * (weight * rows + (1 - weight) * columns)
    return np.asarray(255 * ramp, dtype=np.uint8)


def _draw_shapes(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 9))):
        left, top = rng.integers(0, size, 2)
        width, height = rng.integers(size // 16, size // 2, 2)
        box = (int(left), int(top), int(left + width), int(top + height))
        gray = int(rng.integers(0, 256))
        if rng.random() < 0.5:
            draw.ellipse(box, fill=gray)
        else:
            draw.rectangle(box, fill=gray)


def _draw_text(draw: ImageDraw.ImageDraw, size: int, rng: np.random.Generator) -> None:
    height = int(rng.integers(size // 24, size // 10))
    font = ImageFont.load_default(size=height)
    gray = int(rng.integers(0, 256))
    for top in range(size // 16, size, int(1.5 * height)):
        draw.text((size // 16, top), " ".join(rng.choice(_WORDS, 6)), fill=gray, font=font)
