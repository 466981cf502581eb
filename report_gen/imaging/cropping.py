"""Find the borders and the text bands along the edges of an image, which preprocessing crops.

The rule is for lines, that is, rows and columns: lines are counted from each edge inward while they are uniform.
scikit-image and OpenCV have no such function; the strokes of text are erased with the morphology of SciPy.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from report_gen.config import CropBandsStep, CropBordersStep
from report_gen.records import Box

_PASSES = 4
"""Maximum number of nested borders, such as a white frame around a black one."""
_BAND_SHARE = 0.98
"""Share of a line's pixels that must be background after the strokes of the text have been erased."""
_MIN_TEXT_SHARE = 0.001
"""Least share of text pixels in a band; with fewer, it is a border with noise."""

Lines = NDArray[np.float32]
"""Rows or columns [lines,pixels], the first one at the edge."""


def box_without_borders(pixels: NDArray[np.float32], step: CropBordersStep) -> Box:
    """Return the part of an image [H,W] inside its uniform borders; all of it if too little would remain."""
    whole = box = _whole(pixels)
    for _ in range(_PASSES):
        inner = _without_uniform_lines(pixels[box.slices], step)
        if inner is None:
            return whole
        box, before = box.inner(inner), box
        if box == before:
            break
    is_large = box.rows >= step.remaining * whole.rows and box.columns >= step.remaining * whole.columns
    return box if is_large else whole


def box_without_bands(pixels: NDArray[np.float32], step: CropBandsStep) -> Box:
    """Return the part of an image [H,W] between its bands of burned-in text."""
    from scipy.ndimage import grey_closing

    side = max(3, math.ceil(step.stroke * max(pixels.shape)) + 1)
    # Opening erases bright strokes on a dark band, closing erases dark strokes on a bright band.
    # The time of SciPy's filter does not depend on the size; those of scikit-image take minutes for a large image.
    # An opening is a closing of the negative. SciPy's own `grey_opening` moves the image if the size is even.
    erased = [-grey_closing(-pixels, size=(side, side)), grey_closing(pixels, size=(side, side))]

    def depth(box: Box, *, transpose: bool, reverse: bool) -> int:
        """Return the number of lines of the band at one edge of a part of the image, 0 if there is none."""
        views = [(view[box.slices].T if transpose else view[box.slices]) for view in (pixels, *erased)]
        lines, *backgrounds = (view[::-1] if reverse else view for view in views)
        return max(_band_lines(lines, background, step) for background in backgrounds)

    box = _whole(pixels)
    top, bottom = depth(box, transpose=False, reverse=False), depth(box, transpose=False, reverse=True)
    box = Box(top, 0, box.rows - top - bottom, box.columns)
    left, right = depth(box, transpose=True, reverse=False), depth(box, transpose=True, reverse=True)
    return Box(top, left, box.rows, box.columns - left - right)


def _whole(pixels: NDArray[np.float32]) -> Box:
    return Box(0, 0, *pixels.shape)


def _without_uniform_lines(pixels: NDArray[np.float32], step: CropBordersStep) -> Box | None:
    """Return the part inside the uniform lines at the four edges; None if every line is uniform."""
    top, bottom = (_uniform_lines(lines, step.tolerance, step.share) for lines in (pixels, pixels[::-1]))
    rows = len(pixels) - top - bottom
    if rows <= 0:
        return None
    inner = pixels[top : top + rows].T  # a column is judged without the border above and below it
    left, right = (_uniform_lines(lines, step.tolerance, step.share) for lines in (inner, inner[::-1]))
    columns = len(inner) - left - right
    return None if columns <= 0 else Box(top, left, rows, columns)


def _uniform_lines(lines: Lines, tolerance: float, share: float) -> int:
    """Count the lines from the edge on in which enough pixels are within `tolerance` of the median of the first."""
    near = np.abs(lines - np.median(lines[0])) <= tolerance
    uniform = near.mean(axis=1) >= share
    return len(lines) if uniform.all() else int(np.argmin(uniform))


def _band_lines(lines: Lines, background: Lines, step: CropBandsStep) -> int:
    """Count the lines of the band at the edge.

    Args:
        lines: Lines of the image.
        background: The same lines after the strokes of text have been erased.
        step: What is a band.
    """
    count = _uniform_lines(background, step.tolerance, _BAND_SHARE)
    if not 0 < count <= step.depth * len(lines):
        return 0
    text = np.abs(lines[:count] - np.median(background[0])) >= step.contrast
    is_crossed = bool(text[-1].any())  # text that goes on inward is not part of a band, and would be cut
    return count if text.mean() >= _MIN_TEXT_SHARE and not is_crossed else 0
