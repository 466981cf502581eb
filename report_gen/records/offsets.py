"""Where and when the images of a study were acquired, relative to each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from report_gen.records.slices import Vector, ViewOffset
from report_gen.records.study import Image

_DAY = 86_400
"""Seconds of a day."""
_LEAST_COSINE = 0.97
"""Cosine of the angle, 14 degrees, up to which two slices count as parallel."""


def view_offsets(images: Sequence[Image]) -> tuple[ViewOffset, ...]:
    """Return the offset of each image of a study: what the corpus states, or else what the header states.

    The reference of the millimeters is the first image that is a slice, and that of the seconds the first image with a
    time of acquisition. The position of a slice that is not parallel to the reference is unknown: a localizer does not
    lie in the stack.
    """
    plane = next((image.plane for image in images if image.plane is not None), None)
    start = next((seconds for image in images if (seconds := _seconds(image)) is not None), None)
    offsets = []
    for image in images:
        mm = seconds = math.nan
        if plane is not None and image.plane is not None and _are_parallel(plane.normal, image.plane.normal):
            mm = image.plane.location_along(plane.normal) - plane.location_along(plane.normal)
        if start is not None and (time := _seconds(image)) is not None:
            seconds = (time - start + _DAY / 2) % _DAY - _DAY / 2  # a study may go on after midnight
        offsets.append(image.offset or ViewOffset(mm, seconds))
    return tuple(offsets)


def _seconds(image: Image) -> float | None:
    return None if image.acquisition is None else image.acquisition.seconds


def _are_parallel(one: Vector, other: Vector) -> bool:
    """Return whether two planes with these unit normals are parallel; a plane has two normals."""
    return abs(sum(a * b for a, b in zip(one, other, strict=True))) >= _LEAST_COSINE
