"""Draw numbered outlines over an image, with Pillow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from scipy.ndimage import zoom
from skimage.measure import find_contours

from report_gen.records import Box
from report_gen.rendering.fonts import font_file

OUTLINE_COLORS = ("#f0e442", "#56b4e9", "#e69f00", "#cc79a7", "#009e73", "#d55e00")
"""Colors that readers with a color vision deficiency can tell apart (Okabe and Ito, 2008)."""
_DASHES = ((1, 0), (12, 7), (3, 5), (24, 7))
"""Lengths of a dash and of the gap after it, in line widths: they differ in a print in black and white as well."""
_LEVEL = 0.5
"""Share of the highest weight at which an outline is drawn."""
_MIN_PEAK = 2.0
"""Least highest weight, in multiples of uniform weights. Below it, the weights point to no place."""
_FINE = 8
"""Points on the outline for each patch."""

_Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Outline:
    """Where the weights over the patches of an image are high."""

    curves: tuple[NDArray[np.float64], ...]
    """Points [P,2] of each closed curve: x and y in pixels of the image."""


def find_outline(weights: NDArray[np.float32], square: tuple[float, float, float], part: Box) -> Outline | None:
    """Return the outline of the area in which weights are at least half of the highest one.

    Args:
        weights: Weights [g,g] over the patches of a square.
        square: Left edge, top edge and side of the square, in pixels of the image.
        part: The part of the image that the square shows. Patches whose center is outside of it are padding.

    Returns:
        The outline, or None if no weight is twice as high as uniform weights would be: there is no place to show.
    """
    left, top, side = square
    patch = side / len(weights)
    xs, ys = (start + patch * (np.arange(len(weights)) + 0.5) for start in (left, top))
    inside = ((ys >= part.top) & (ys < part.top + part.rows))[:, None] & (
        (xs >= part.left) & (xs < part.left + part.columns)
    )
    shown = np.where(inside, weights, 0.0)
    if not inside.any() or shown.max() < _MIN_PEAK * weights.mean():
        return None
    fine = zoom(np.pad(shown, 1), _FINE, order=1, grid_mode=True, mode="nearest")  # the border of zeros closes curves
    curves = find_contours(fine, _LEVEL * float(shown.max()))
    corner = np.array([left, top]) - patch
    points = (corner + (curve[:, ::-1] + 0.5) * patch / _FINE for curve in curves)
    return Outline(curves=tuple(curve for curve in points if np.ptp(curve, axis=0).min() >= patch / 2))


def draw_outlines(
    image: NDArray[np.float32], outlines: Sequence[Outline | None], *, size: tuple[int, int]
) -> PillowImage.Image:
    """Draw outlines with their numbers, which begin with 1, over an image.

    Args:
        image: Display intensities [H,W] in 0..1.
        outlines: Outlines in pixels of the image. None has a number that is not drawn.
        size: Width and height of the result.
    """
    canvas = resize(image, size).convert("RGB")
    scale = np.array([size[0] / image.shape[1], size[1] / image.shape[0]])
    width = max(2, round(max(size) / 400))
    draw = ImageDraw.Draw(canvas)
    numbered = [(index, outline) for index, outline in enumerate(outlines) if outline is not None]
    for index, outline in numbered:
        for curve in outline.curves:
            for dash in _dashes(curve * scale, [length * width for length in _DASHES[index % len(_DASHES)]]):
                draw.line(dash, fill="black", width=width + 4, joint="curve")
                draw.line(dash, fill=outline_color(index), width=width, joint="curve")
    radius = 5 * width
    border = np.maximum(np.array(size) - radius, radius)
    taken: list[_Point] = []
    for index, outline in numbered:
        for curve in outline.curves:  # an outline may leave the image, its number may not
            taken.append(_free_point(np.clip(curve * scale, radius, border), taken))
            _draw_number(draw, taken[-1], index, radius)
    return canvas


def outline_color(index: int) -> str:
    """Return the color of an outline by its position."""
    return OUTLINE_COLORS[index % len(OUTLINE_COLORS)]


def resize(image: NDArray[np.float32], size: tuple[int, int]) -> PillowImage.Image:
    """Return an image with intensities [H,W] in 0..1 as 8-bit gray of this width and height."""
    gray = PillowImage.fromarray(np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8))
    return gray if gray.size == size else gray.resize(size, PillowImage.Resampling.LANCZOS)


def label_font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the font for texts in images."""
    file = font_file("DejaVu Sans Bold")
    return ImageFont.load_default(size) if file is None else ImageFont.truetype(str(file), size)


def _dashes(curve: NDArray[np.float64], lengths: Sequence[int]) -> Iterator[list[_Point]]:
    """Cut a curve [P,2] into dashes, with lengths of a dash and of a gap in pixels."""
    drawn, gap = lengths
    ends = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    steps = np.arange(0.0, ends[-1] + 1.0)  # one point for each pixel of the curve
    points = np.stack([np.interp(steps, ends, curve[:, axis]) for axis in (0, 1)], axis=1)
    for start in range(0, len(points), drawn + gap):
        dash = points[start : start + drawn + 1 if gap else None]
        if len(dash) > 1:
            yield [(float(x), float(y)) for x, y in dash]
        if not gap:
            return


def _free_point(curve: NDArray[np.float64], taken: Sequence[_Point]) -> _Point:
    """Return the point of a curve that is farthest from the numbers that are drawn already; the highest at first."""
    if taken:
        distances = np.linalg.norm(curve[:, None] - np.array(taken), axis=-1).min(axis=1)
        x, y = curve[distances.argmax()]
    else:
        x, y = curve[curve[:, 1].argmin()]
    return float(x), float(y)


def _draw_number(draw: ImageDraw.ImageDraw, center: _Point, index: int, radius: int) -> None:
    x, y = center
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=outline_color(index), outline="black", width=2)
    draw.text(center, str(index + 1), fill="black", font=label_font(1.3 * radius), anchor="mm")
