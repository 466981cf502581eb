"""Draw slices of the stacks of a study on one contact sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from report_gen.imaging.volumes import StackViews, describe_window
from report_gen.rendering.figures import draw_strips

_SIDE = 160
"""Largest side of a slice on the sheet, pixels."""
_LARGE_SIDE = 320
"""The same on a sheet of a single stack in a single window, whose slices are drawn in several lines."""
_LEAST_SIDE = 8
_GAP = 2
"""Pixels between slices."""
_CAPTION = "Slices from foot to head, front to back or right to left; cines in time. Numbers count from 1."


def format_stacks(shown: Iterable[tuple[str, StackViews]]) -> bytes | None:
    """Draw one row of slices for each window of each stack, as a PNG file; None if there is no stack.

    A single row would be wide and low, so its slices are drawn larger and in several lines.

    The PNG shows the patient's images, so it must be protected like the study.

    Args:
        shown: Title and views of each stack. Only the views of the first stack are kept.
    """
    first, strips = None, list[tuple[str, NDArray[np.float32]]]()
    for title, views in shown:
        first = first or (title, views)
        strips += _strips(title, views)
    if first is not None and len(strips) == 1:
        strips = list(_strips(*first, side=_LARGE_SIDE, lines=math.isqrt(len(first[1].indices))))
    width = max((image.shape[1] for _, image in strips), default=0)
    padded = [
        (title, np.pad(image, ((0, 0), (0, width - image.shape[1])), constant_values=1)) for title, image in strips
    ]
    return draw_strips(padded, caption=_CAPTION) if padded else None


def _strips(
    title: str, views: StackViews, *, side: int = _SIDE, lines: int = 1
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the title and the slices [H,W], side by side in lines, of each window."""
    numbers = f"slice{'' if len(views.indices) == 1 else 's'} {_listed(views.indices)}"
    spacing = views.spacing or (1.0, 1.0)
    for channel, window in enumerate(views.windows):
        yield (
            f"{title}, {describe_window(window)}, {numbers}",
            _in_lines(views.intensities[:, channel], spacing, side=side, lines=lines),
        )


def _in_lines(
    slices: NDArray[np.float32], spacing: tuple[float, float], *, side: int, lines: int
) -> NDArray[np.float32]:
    """Return slices [V,H,W] beside each other in lines, with square pixels and the largest side `side` pixels long."""
    extents = np.multiply(slices.shape[1:], spacing)
    rows, columns = (max(_LEAST_SIDE, round(side * extent / extents.max())) for extent in extents)
    per_line = math.ceil(len(slices) / lines)
    strip = np.ones((lines * (rows + _GAP) - _GAP, per_line * (columns + _GAP) - _GAP), dtype=np.float32)
    for number, image in enumerate(slices):
        line, place = divmod(number, per_line)
        top, left = line * (rows + _GAP), place * (columns + _GAP)
        drawn = resize(image, (rows, columns), order=1, anti_aliasing=True).clip(0, 1)
        strip[top : top + rows, left : left + columns] = drawn
    return strip


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(str(index + 1) for index in indices)
