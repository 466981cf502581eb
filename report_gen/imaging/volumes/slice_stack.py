"""Records of ordered slices, and of the images of a study that are in no stack."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from report_gen.imaging.modality import SLICE_MODALITIES
from report_gen.imaging.slice_geometry import PlaneName
from report_gen.records import Image


@dataclass(frozen=True, kw_only=True, eq=False)
class SliceStack:
    """Images of one series that show parallel planes, in the order of their positions.

    Axial slices are ordered from foot to head, coronal ones from front to back, and sagittal ones from right to left.
    The frames of a cine without positions are ordered in time; such a stack has no plane, spacing and affine matrix.
    """

    images: tuple[Image, ...]
    """The S slices, in order."""
    plane: PlaneName | None = None
    """How the slices lie in the patient. None: the header states no position."""
    spacing: float | None = None
    """Distance between the planes of neighboring slices, perpendicular to them, millimeters. None: there is one slice,
    or no position. If slices are missing, the distance of those that are not."""
    affine: NDArray[np.float64] | None = None
    """Matrix [4,4] from the voxel index (column, row, slice, 1) to patient coordinates (LPS), millimeters. It is exact
    for the first slice, and for the others if the slices are regular; `positions` and the planes of the images are
    exact for all. The third column includes the displacement of tilted slices. None: there is no position."""
    tilt: float = 0.0
    """Angle between the normal of the slices and the line through their first pixels, degrees."""
    positions: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[S], coordinate of each slice along the direction of the order, millimeters; NaN without position."""
    times: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[S], time of the acquisition of each slice after midnight, seconds. If the header states no such time, that after
    the trigger (ECG) or the start of the cine; NaN without either."""
    part: str = ""
    """What distinguishes the stack from others of its series, such as "echo time 4.6 ms"; empty if there is one."""
    modality: str | None = None
    modality_set: bool = False
    """Whether the user stated the modality, see `Series.modality_set`."""
    description: str | None = field(default=None, repr=False)
    """Series description, else protocol name."""
    body_parts: frozenset[str] = frozenset()
    """Body parts that the header names, in the terms of `known_body_parts`."""
    series_number: int | None = None
    series_instance_uid: str | None = None
    notices: tuple[str, ...] = ()
    """Sentences for the user about missing, duplicate or irregular slices and the like."""

    @property
    def is_displayed(self) -> bool:
        """Whether slices are shown as their headers say, because their values have no meaning of their own.

        These are cines without positions, such as ultrasound and angiography.
        """
        return self.plane is None and self.modality not in (None, *SLICE_MODALITIES)


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """Images of one series that belong to no stack, and why."""

    images: tuple[Image, ...]
    reason: str
    """Noun phrase, such as "localizer" or "derived: MIP"."""
    series_number: int | None = None
    description: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        number = len(self.images)
        return f"{number} {'image' if number == 1 else 'images'}: {self.reason}"


@dataclass(frozen=True)
class StackCollection:
    """The stacks of a study. Each image of the study is in exactly one stack, or set aside exactly once."""

    stacks: tuple[SliceStack, ...]
    """In the order of the series of the study; stacks of one series in the order of what distinguishes them."""
    set_aside: tuple[SetAside, ...]
    notices: tuple[str, ...] = ()
    """Sentences for the user about the study. Those about a stack are in its own notices."""
