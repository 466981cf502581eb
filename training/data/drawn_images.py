"""Draw images that are no radiographs: shapes, gradients, noise and pages of text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_WORDS = ("invoice", "report", "total", "page", "date", "name", "signature", "address", "figure", "table")
_KINDS = 4


def draw_foreign_image(size: int, seed: int) -> NDArray[np.uint8]:
    """Return a drawn image [size,size]; the seed determines its kind and content."""
    random = np.random.default_rng(seed)
    background = _background(size, random)
    image = Image.fromarray(background)
    kind = seed % _KINDS
    if kind == 0:
        _draw_shapes(ImageDraw.Draw(image), size, random)
    elif kind == 1:
        _draw_text(ImageDraw.Draw(image), size, random)
    elif kind == 2:
        noise = random.integers(0, 256, (size // 8, size // 8), dtype=np.uint8)
        image = Image.fromarray(noise).resize((size, size), Image.Resampling(int(random.integers(0, 4))))
    return np.asarray(image)


def _background(size: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Return a gradient in a random direction between two random gray levels."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    first, last, weight = random.random(3)
    ramp = first + (last - first) * (weight * rows + (1 - weight) * columns)
    return np.asarray(255 * ramp, dtype=np.uint8)


def _draw_shapes(draw: ImageDraw.ImageDraw, size: int, random: np.random.Generator) -> None:
    for _ in range(int(random.integers(1, 9))):
        left, top = random.integers(0, size, 2)
        width, height = random.integers(size // 16, size // 2, 2)
        box = (int(left), int(top), int(left + width), int(top + height))
        gray = int(random.integers(0, 256))
        if random.random() < 0.5:
            draw.ellipse(box, fill=gray)
        else:
            draw.rectangle(box, fill=gray)


def _draw_text(draw: ImageDraw.ImageDraw, size: int, random: np.random.Generator) -> None:
    height = int(random.integers(size // 24, size // 10))
    font = ImageFont.load_default(size=height)
    gray = int(random.integers(0, 256))
    for top in range(size // 16, size, int(1.5 * height)):
        draw.text((size // 16, top), " ".join(random.choice(_WORDS, 6)), fill=gray, font=font)
