"""Find the position of the frames of nuclear medicine (PS3.3 C.8.4), which has no functional groups."""

from __future__ import annotations

from pydicom import Dataset

from report_gen.imaging.attributes import number_value, number_values, optional_value
from report_gen.imaging.modality import modality_of
from report_gen.imaging.planes import is_position, perpendicular_directions

_VECTORS = ("TimeSlotVector", "TimeSliceVector", "SliceVector")
"""Index of each frame within a heart beat, within a dynamic series, and within a volume, from 1 (PS3.3 C.8.4.8)."""

NUCLEAR_KEYWORDS = ("DetectorInformationSequence", "SpacingBetweenSlices", *_VECTORS)
"""Attributes that `NuclearFrames` reads."""


class NuclearFrames:
    """Positions and times of the frames of a file; of none if it is of another modality than nuclear medicine.

    The first detector states the position of the first slice. The next ones follow along the normal, in the distance
    Spacing Between Slices; behind the first one if it is positive, in front of it if it is negative (PS3.3 C.8.4.15).

    Args:
        dataset: Attributes of the file.
        count: Number of frames.
    """

    def __init__(self, dataset: Dataset, count: int) -> None:
        self._is_nuclear, self._count = modality_of(dataset) == "NM", count
        if not self._is_nuclear:
            return
        self._detectors = (optional_value(dataset, "DetectorInformationSequence") or ())[:1]
        self._slot, self._time, self._slice = (_vector(dataset, keyword, count) for keyword in _VECTORS)

    def __bool__(self) -> bool:
        return self._is_nuclear

    def promote(self, header: Dataset, frame: int) -> None:
        """Copy the position and the time of a frame to the top of its data set.

        Args:
            header: Attributes of the frame; those of nuclear medicine are changed.
            frame: Index of the frame.
        """
        if not self._is_nuclear:
            return
        for detector in self._detectors:
            for keyword in ("ImagePositionPatient", "ImageOrientationPatient"):
                if keyword in detector:
                    header[keyword] = detector[keyword]
        if times := self._slot or self._time:
            header.TemporalPositionIndex = times[frame]
        if self._count > 1:
            _move(header, self._slice[frame] - 1 if self._slice else frame)


def _vector(dataset: Dataset, keyword: str, count: int) -> tuple[int, ...]:
    """Return an index for each frame, or none if the header does not have as many."""
    values = tuple(map(int, number_values(dataset, keyword)))
    return values if len(values) == count else ()


def _move(header: Dataset, slices: int) -> None:
    """Move the position of the first slice by a number of slices, or remove it if their distance is unknown."""
    position, cosines = number_values(header, "ImagePositionPatient"), number_values(header, "ImageOrientationPatient")
    directions = perpendicular_directions(cosines[:3], cosines[3:]) if len(cosines) == 6 else None
    distance = number_value(header, "SpacingBetweenSlices")
    if not is_position(position) or directions is None:
        return
    if not distance:
        del header.ImagePositionPatient
        return
    (a, b, c), (d, e, f) = directions
    normal = b * f - c * e, c * d - a * f, a * e - b * d
    moved = [start + slices * distance * part for start, part in zip(position, normal, strict=True)]
    header.add_new("ImagePositionPatient", "FD", moved)  # VR DS would round to 16 characters
