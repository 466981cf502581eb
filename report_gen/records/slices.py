"""Records of the slices of a volume: where a slice lies in the patient, what distinguishes it, and how it is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

Vector = tuple[float, float, float]
"""Coordinates of the patient coordinate system of DICOM, which increase to the left, to the back and to the head."""


@dataclass(frozen=True, kw_only=True)
class SlicePlane:
    """Position of a slice in the patient (Image Plane Module, PS3.3 C.7.6.2), for pixels as they are stored."""

    position: Vector
    """Image Position (Patient): center of the first pixel, millimeters."""
    row_direction: Vector
    """Unit vector along a row, in which the column index increases."""
    column_direction: Vector
    """Unit vector along a column, in which the row index increases."""
    spacing: tuple[float, float]
    """Distance between rows and distance between columns, millimeters."""
    thickness: float | None = None
    """Slice Thickness (0018,0050), millimeters."""
    frame_of_reference: str = ""
    """Frame of Reference UID (0020,0052). Positions in different frames cannot be compared. Empty if not stated."""

    @property
    def normal(self) -> Vector:
        """Unit vector perpendicular to the slice: the cross product of row direction and column direction."""
        (a, b, c), (d, e, f) = self.row_direction, self.column_direction
        return b * f - c * e, c * d - a * f, a * e - b * d

    def location_along(self, normal: Vector) -> float:
        """Return the coordinate of the slice along a unit vector, millimeters."""
        return sum(one * other for one, other in zip(self.position, normal, strict=True))


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """What distinguishes images of one series that show the same place: one part of a dynamic or multi-echo series.

    An attribute that the header does not state is None.
    """

    number: int | None = None
    """Acquisition Number (0020,0012)."""
    temporal_position: int | None = None
    """Temporal Position Identifier (0020,0100) or Temporal Position Index (0020,9128)."""
    echo_time: float | None = None
    """Echo Time (0018,0081) or Effective Echo Time (0018,9082), milliseconds."""
    b_value: float | None = None
    """Diffusion b-value (0018,9087), seconds per square millimeter."""
    contrast_agent: bool | None = None
    """Whether the header names a contrast agent (0018,0010); None if it does not have the attribute."""
    trigger_time: float | None = None
    """Trigger Time (0018,1060) or Nominal Cardiac Trigger Delay Time (0020,9153), milliseconds."""
    kind: str | None = None
    """Values of Image Type (0008,0008) from the third on, such as WATER or M_FFE, joined by backslashes. Complex Image
    Component (0008,9208), such as PHASE, follows if it is not MAGNITUDE."""
    seconds: float | None = None
    """Time of the acquisition or frame after midnight, seconds: Acquisition DateTime, else Acquisition Time. The times
    of a cine without such a time begin at its first frame, those of a NIfTI at its first volume."""


@dataclass(frozen=True)
class Window:
    """A range of values that is shown between black and white."""

    name: str
    center: float
    width: float
    """Above 0."""


class ViewOffset(NamedTuple):
    """Distance of an image from a reference image of its study; NaN if it is not known.

    Any image may be the reference, as long as it is the same for all images of the study.
    """

    mm: float = math.nan
    """Along the normal of the slices, millimeters."""
    seconds: float = math.nan
    """Time of the acquisition, seconds."""
    days: float = 0.0
    """Date of the examination, days; negative for an earlier one."""
