"""Read the position of a slice in the patient from a DICOM header (PS3.3 C.7.6.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

from pydicom import Dataset

from report_gen.imaging.acquisition import image_type
from report_gen.imaging.attributes import number_value, number_values, text_value
from report_gen.imaging.modality import PROJECTION_MODALITIES, SLICE_MODALITIES, modality_of
from report_gen.records import SlicePlane, Vector

PLANE_KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "FrameOfReferenceUID",
)
"""Attributes of the modules Image Plane and Frame of Reference, and of the macros Plane Position, Plane Orientation and
Pixel Measures."""

_ROUNDING = 0.01
"""Largest error of direction cosines: some devices round them to two decimals."""
_FARTHEST = 1e6
"""Largest coordinate, millimeters. Larger ones are placeholders."""
_LEAST_SPACING, _LARGEST_SPACING = 1e-6, 1e5
"""Range of the distances between pixels, millimeters."""


class FoundPlane(NamedTuple):
    """The plane of an image, or why it has none."""

    plane: SlicePlane | None = None
    problem: str | None = None
    """The attribute that is missing or contradicts itself. None: the image is no slice."""


def slice_plane(dataset: Dataset) -> FoundPlane:
    """Return the plane of an image whose attributes are at the top of the data set.

    A radiograph has none, even if its header states a position: a projection lies in no plane. Direction cosines that
    are rounded are normalized, and the columns are made perpendicular to the rows.
    """
    if not _is_slice(dataset):
        return FoundPlane()
    position, cosines = (number_values(dataset, keyword) for keyword in PLANE_KEYWORDS[:2])
    if not is_position(position):
        return FoundPlane(problem=_problem(dataset, "ImagePositionPatient", "is not three coordinates"))
    if len(cosines) != 6:
        return FoundPlane(problem=_problem(dataset, "ImageOrientationPatient", "is not six direction cosines"))
    directions = perpendicular_directions(cosines[:3], cosines[3:])
    if directions is None:
        return FoundPlane(problem=_problem(dataset, "ImageOrientationPatient", "is not two perpendicular unit vectors"))
    spacing = number_values(dataset, "PixelSpacing")
    if not is_spacing(spacing):
        return FoundPlane(problem=_problem(dataset, "PixelSpacing", "is not two positive distances"))
    thickness = number_value(dataset, "SliceThickness")
    plane = SlicePlane(
        position=position,
        row_direction=directions[0],
        column_direction=directions[1],
        spacing=spacing,
        thickness=thickness if thickness and thickness > 0 else None,
        frame_of_reference=text_value(dataset, "FrameOfReferenceUID") or "",
    )
    return FoundPlane(plane)


def is_position(numbers: tuple[float, ...]) -> TypeGuard[Vector]:
    """Return whether numbers are coordinates of a place in or near the patient."""
    return len(numbers) == 3 and all(abs(number) <= _FARTHEST for number in numbers)


def is_spacing(numbers: tuple[float, ...]) -> TypeGuard[tuple[float, float]]:
    """Return whether numbers are distances between rows and between columns."""
    return len(numbers) == 2 and all(_LEAST_SPACING <= number <= _LARGEST_SPACING for number in numbers)


def _is_slice(dataset: Dataset) -> bool:
    modality = modality_of(dataset)
    if modality == "NM":  # most are projections as well (PS3.3 C.8.4.9.1.1.3)
        return any("RECON" in value for value in image_type(dataset)[2:])
    is_stated = "ImagePositionPatient" in dataset or "ImageOrientationPatient" in dataset
    is_enhanced = "SharedFunctionalGroupsSequence" in dataset  # tomosynthesis, rotational angiography
    return modality in SLICE_MODALITIES or (is_stated and (modality not in PROJECTION_MODALITIES or is_enhanced))


def perpendicular_directions(row: Sequence[float], column: Sequence[float]) -> tuple[Vector, Vector] | None:
    """Return exact unit vectors for two rounded ones, or None if they are no perpendicular unit vectors.

    Args:
        row: Direction along a row.
        column: Direction along a column.
    """
    lengths = math.hypot(*row), math.hypot(*column)
    if any(abs(length - 1) > _ROUNDING for length in lengths):
        return None
    along = _scaled(row, 1 / lengths[0])
    cosine = sum(one * other for one, other in zip(along, column, strict=True)) / lengths[1]
    if abs(cosine) > _ROUNDING:
        return None
    rest = tuple(other / lengths[1] - cosine * one for one, other in zip(along, column, strict=True))
    return along, _scaled(rest, 1 / math.hypot(*rest))


def _scaled(vector: Sequence[float], factor: float) -> Vector:
    x, y, z = vector
    return x * factor, y * factor, z * factor


_NAMES = {
    "ImagePositionPatient": "Image Position (Patient)",
    "ImageOrientationPatient": "Image Orientation (Patient)",
    "PixelSpacing": "Pixel Spacing",
}


def _problem(dataset: Dataset, keyword: str, fault: str) -> str:
    is_missing = keyword not in dataset or dataset.get_item(keyword).value in (None, b"", "", [])
    return f"{_NAMES[keyword]} {'is missing' if is_missing else fault}"
