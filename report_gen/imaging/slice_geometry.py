"""Geometry of slices: how a plane lies in the patient, in which direction slices are ordered, and angles.

Coordinates are those of the patient (PS3.3 C.7.6.2.1.1), millimeters: they increase to the left, to the back and to the
head (LPS).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

PlaneName = Literal["axial", "coronal", "sagittal", "oblique"]
Floats = NDArray[np.float64]

MAX_ANGLE = 1.0
"""Largest angle between the rows, and between the columns, of slices of one stack, degrees. Scanners repeat an
orientation to four decimals or more (0.006 degrees); the planes of localizers differ by much more than a degree."""

_AXIS_NAMES: tuple[PlaneName, ...] = ("sagittal", "coronal", "axial")
_MIN_COSINE = 0.8
"""Least cosine of the angle between the normal and an axis of the patient for a plane that is named after the axis: 37
degrees. The threshold is that of GDCM (`gdcm::Orientation`) and PixelMed. CT gantries tilt by up to 30 degrees."""


def stack_direction(normal: Floats) -> Floats:
    """Return the unit vector along which the slices of a stack are ordered: the normal, or its opposite.

    The component of largest size is positive, so that axial slices are ordered from foot to head, coronal ones from
    front to back, and sagittal ones from right to left, whatever the order of the scan was. Of components that differ
    by less than 0.001 the head has precedence over the back, and the back over the left.
    """
    unit = np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)
    return unit if unit[main_axis(unit)] > 0 else -unit


def plane_name(normal: Floats) -> PlaneName:
    """Return the name of the plane with this unit normal; oblique if it is 37 degrees or more from each named one.

    The angle of the image within its plane does not count, so that an axial slice that is turned stays axial.
    """
    axis = main_axis(normal)
    return _AXIS_NAMES[axis] if abs(normal[axis]) > _MIN_COSINE else "oblique"


def angles_to(vectors: Floats, vector: Floats) -> Floats:
    """Return the angles between vectors [N,3] and a vector [3], degrees [N]."""
    sines = np.linalg.norm(np.cross(vectors, vector), axis=-1)  # the arc cosine is inexact for small angles
    return np.asarray(np.degrees(np.arctan2(sines, vectors @ vector)))


def main_axis(unit: Floats) -> int:
    """Return the index of the component of largest size; of nearly equal ones the last."""
    sizes = np.abs(unit)
    return int(np.flatnonzero(sizes > sizes.max() - 1e-3)[-1])
