"""Geometry of slices: whether a plane is usable, how it lies in the patient, and which planes are parallel.

Coordinates are those of the patient (PS3.3 C.7.6.2.1.1), millimeters: they increase to the left, to the back and to the
head (LPS).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from report_gen.records import SlicePlane

PlaneName = Literal["axial", "coronal", "sagittal", "oblique"]
Floats = NDArray[np.float64]

MAX_ANGLE = 1.0
"""Largest angle between the rows, and between the columns, of slices of one stack, degrees. Scanners repeat an
orientation to four decimals or more (0.006 degrees); the planes of localizers differ by much more than a degree."""

_AXIS_NAMES: tuple[PlaneName, ...] = ("sagittal", "coronal", "axial")
_MIN_COSINE = 0.8
"""Least cosine of the angle between the normal and an axis of the patient for a plane that is named after the axis: 37
degrees. The threshold is that of GDCM (`gdcm::Orientation`) and PixelMed. CT gantries tilt by up to 30 degrees."""
_DIRECTION_ERROR = 0.01
"""Largest deviation of the length of a direction from 1, and of the cosine between the two directions from 0. Headers
round to two decimals at worst; an angle of 90.6 degrees has this cosine."""


def plane_problem(plane: SlicePlane) -> str | None:
    """Return why a plane cannot be part of a volume, as the end of "the header states ...", or None."""
    directions = np.array([plane.row_direction, plane.column_direction])
    if not np.isfinite([*plane.position, *plane.row_direction, *plane.column_direction]).all():
        return "a position or orientation that is not a number"
    if not all(np.isfinite(plane.spacing)):
        return "a pixel spacing that is not a number"
    if min(plane.spacing) <= 0:
        return "a pixel spacing of 0 or less"
    if np.abs(np.linalg.norm(directions, axis=1) - 1).max() > _DIRECTION_ERROR:
        return "row and column directions that are not unit vectors"
    if abs(directions[0] @ directions[1]) > _DIRECTION_ERROR:
        return "row and column directions that are not perpendicular"
    return None


def stack_direction(normal: Floats) -> Floats:
    """Return the unit vector along which the slices of a stack are ordered: the normal, or its opposite.

    The component of largest size is positive, so that axial slices are ordered from foot to head, coronal ones from
    front to back, and sagittal ones from right to left, whatever the order of the scan was. Of components that differ
    by less than 0.001 the head has precedence over the back, and the back over the left.
    """
    unit = np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)
    return unit if unit[_main_axis(unit)] > 0 else -unit


def plane_name(normal: Floats) -> PlaneName:
    """Return the name of the plane with this unit normal; oblique if it is 37 degrees or more from each named one.

    The angle of the image within its plane does not count, so that an axial slice that is turned stays axial.
    """
    axis = _main_axis(normal)
    return _AXIS_NAMES[axis] if abs(normal[axis]) > _MIN_COSINE else "oblique"


def angles_to(vectors: Floats, vector: Floats) -> Floats:
    """Return the angles between vectors [N,3] and a vector [3], degrees [N]."""
    sines = np.linalg.norm(np.cross(vectors, vector), axis=-1)  # the arc cosine is inexact for small angles
    return np.asarray(np.degrees(np.arctan2(sines, vectors @ vector)))


def _main_axis(unit: Floats) -> int:
    """Return the index of the component of largest size; of nearly equal ones the last."""
    sizes = np.abs(unit)
    return int(np.flatnonzero(sizes > sizes.max() - 1e-3)[-1])
