"""Draw slices of the stacks of a study on one contact sheet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from report_gen.imaging.volumes import StackViews, Window
from report_gen.rendering.figures import draw_strips

_SIDE = 160
"""Largest side of a slice on the sheet, pixels."""
_LEAST_SIDE = 8
_GAP = 2
"""Pixels between slices."""
_CAPTION = "Slices from foot to head, front to back or right to left; cines in time. Numbers count from 1."


def format_stacks(shown: Iterable[tuple[str, StackViews]]) -> bytes | None:
    """Draw one row of slices for each window of each stack, as a PNG file; None if there is no stack.

    The PNG shows the patient's images, so it must be protected like the study.

    Args:
        shown: Title and views of each stack. The views are not kept.
    """
    strips = [strip for title, views in shown for strip in _strips(title, views)]
    width = max((image.shape[1] for _, image in strips), default=0)
    padded = [
        (title, np.pad(image, ((0, 0), (0, width - image.shape[1])), constant_values=1)) for title, image in strips
    ]
    return draw_strips(padded, caption=_CAPTION) if padded else None


def _strips(title: str, views: StackViews) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the title and the slices [H,W], side by side, of each window."""
    numbers = _listed(views.indices)
    spacing = views.spacing or (1.0, 1.0)
    for channel, window in enumerate(views.windows):
        yield f"{title}, {_described(window)}, slices {numbers}", _side_by_side(views.intensities[:, channel], spacing)


def _side_by_side(slices: NDArray[np.float32], spacing: tuple[float, float]) -> NDArray[np.float32]:
    """Return slices [V,H,W] beside each other with square pixels, the largest side `_SIDE` pixels long."""
    extents = np.multiply(slices.shape[1:], spacing)
    rows, columns = (max(_LEAST_SIDE, round(_SIDE * extent / extents.max())) for extent in extents)
    strip = np.ones((rows, len(slices) * (columns + _GAP) - _GAP), dtype=np.float32)
    for number, image in enumerate(slices):
        left = number * (columns + _GAP)
        strip[:, left : left + columns] = resize(image, (rows, columns), order=1, anti_aliasing=True).clip(0, 1)
    return strip


def _described(window: Window) -> str:
    low, high = window.center - window.width / 2, window.center + window.width / 2
    return f"{window.name} window ({low:.4g} to {high:.4g})"


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(str(index + 1) for index in indices)
