"""Turn slices so that they are shown as radiologists look at them, whatever the order of their rows and columns is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from report_gen.imaging.slice_geometry import main_axis
from report_gen.records import SlicePlane

_TO_LEFT, _TO_BACK, _TO_FOOT = (1, 0, 0), (0, 1, 0), (0, 0, -1)
_SHOWN = {0: (_TO_BACK, _TO_FOOT), 1: (_TO_LEFT, _TO_FOOT), 2: (_TO_LEFT, _TO_BACK)}
"""By the main axis of the normal, the directions of the patient in which the rows and the columns of a display run."""


@dataclass(frozen=True)
class DisplayTransform:
    """How a stored slice is turned for display: first transposed, then flipped."""

    transpose: bool = False
    flip_rows: bool = False
    """Whether the order of the rows is reversed, after the transposition."""
    flip_columns: bool = False

    def apply(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return slices [...,H,W] as they are displayed; a view of the array."""
        turned = values.swapaxes(-1, -2) if self.transpose else values
        return turned[..., :: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]

    def spacing(self, spacing: tuple[float, float]) -> tuple[float, float]:
        """Return the distances between rows and columns after the transposition."""
        return (spacing[1], spacing[0]) if self.transpose else spacing


def display_transform(plane: SlicePlane) -> DisplayTransform:
    """Return how slices of a plane are turned for display.

    Axial and coronal slices have the right of the patient at the left of the image, sagittal ones the front. At the top
    is the front of axial slices, and the head of others. This is how scanners store slices of DICOM; NIfTI files store
    them in any order, and a model that has learned sides from the one would confuse those of the other.
    """
    row, column = np.array(plane.row_direction), np.array(plane.column_direction)
    to_right, down = (np.array(direction) for direction in _SHOWN[main_axis(np.array(plane.normal))])
    transpose = bool(abs(row @ to_right) < abs(column @ to_right))
    if transpose:
        row, column = column, row
    return DisplayTransform(transpose, flip_rows=bool(column @ down < 0), flip_columns=bool(row @ to_right < 0))
