"""Measure the distances between ordered slices: spacing, missing slices, irregular slices and tilt."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from report_gen.imaging.slice_geometry import Floats

_TOLERANCE, _ROUNDING = 0.1, 0.1
"""Largest distance of a slice from its place in a regular stack: a tenth of the spacing, or 0.1 millimeters if that is
more, because headers may round positions to 0.1 millimeters, and those of the first and last slice as well."""
_CHANGED = 3
"""Number of successive multiples of the spacing that mean another spacing and not missing slices. Older scans of the
head are finer at the base of the skull."""


@dataclass(frozen=True)
class SliceSpacing:
    """Distances between the slices of a stack, along its direction."""

    step: Floats
    """[3], from the first pixel of a slice to that of the next, millimeters. It includes the displacement by tilt."""
    distance: float
    """Distance of neighboring planes, millimeters."""
    missing: int
    """Number of slices that are missing between others."""
    gaps: tuple[int, ...]
    """Index of the slice before each place where slices are missing or, of irregular slices, the largest distance."""
    is_regular: bool
    """Whether all slices, missing ones included, have the same distance."""
    least: float
    largest: float
    """Least and largest distance of neighbors, millimeters."""
    tilt: float
    """Angle between the direction and the line through the first pixels of the slices, degrees."""
    shift: float
    """Displacement of the last slice within its plane against the first, millimeters."""
    bend: float
    """Largest distance of a first pixel from that line, within its plane, millimeters."""


def measure_spacing(corners: Floats, direction: Floats) -> SliceSpacing:
    """Return the distances of two slices or more.

    The step is the mean of a regular stack, as in SimpleITK: rounded positions do not add up. With missing slices it is
    that of the slices which are there, as in dcm2niix; SimpleITK takes the mean also then, which misplaces all slices.

    Args:
        corners: [S,3], first pixels of slices of different places, in order, millimeters.
        direction: [3], unit vector along which the slices are ordered.
    """
    locations = (corners - corners[0]) @ direction
    distances = np.diff(locations)
    multiples = np.maximum(1, np.rint(distances / np.median(distances)))
    if any(value > 1 and len(list(run)) >= _CHANGED for value, run in groupby(multiples)):
        multiples = np.ones_like(distances)
    length = locations[-1]
    grid = np.concatenate([[0], np.cumsum(multiples)]) * (length / multiples.sum())
    deviation = np.abs(locations - grid).max()
    is_regular = bool(deviation <= max(_TOLERANCE * length / multiples.sum(), _ROUNDING))
    gaps = np.flatnonzero(multiples > 1)
    if not is_regular:
        multiples, gaps = np.ones_like(distances), distances.argmax(keepdims=True)
    offsets = corners - corners[0] - np.outer(locations, direction)
    line = np.outer(locations / length, offsets[-1])
    shift = float(np.linalg.norm(offsets[-1]))
    return SliceSpacing(
        step=(corners[-1] - corners[0]) / multiples.sum(),
        distance=float(length / multiples.sum()),
        missing=int(multiples.sum()) - len(distances),
        gaps=tuple(gaps.tolist()),
        is_regular=is_regular,
        least=float(distances.min()),
        largest=float(distances.max()),
        tilt=float(np.degrees(np.arctan2(shift, length))),
        shift=shift,
        bend=float(np.linalg.norm(offsets - line, axis=1).max()),
    )
