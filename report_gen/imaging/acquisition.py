"""Read from a DICOM header what distinguishes the images of one series: time, echo, b-value, contrast agent."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset
from pydicom.multival import MultiValue

from report_gen.imaging.attributes import LONGEST_TEXT, number_value, number_values, optional_value, text_value
from report_gen.records import Acquisition

ACQUISITION_KEYWORDS = (
    "ImageType",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "EchoTime",
    "DiffusionBValue",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "TriggerTime",
    "FrameTime",
    "FrameTimeVector",
)
"""Attributes at the top of a data set. Those of functional groups are listed in `functional_groups`."""

_MOST_TYPES = 16
"""Most values of Image Type that are read. Usually there are three to five."""

_MAGNITUDE = "MAGNITUDE"
"""Complex Image Component (0008,9208) of ordinary MR images."""

_DATE_TIME = re.compile(r"\d{8}(\d\d)(\d\d)?(\d\d(?:\.\d{1,6})?)?(?:[+-]\d{4})?")
_TIME = re.compile(r"(\d\d):?(\d\d)?:?(\d\d(?:\.\d{1,6})?)?")
"""Values of VR DT and TM (PS3.5 6.2). ACR-NEMA wrote colons."""


def image_type(dataset: Dataset) -> tuple[str, ...]:
    """Return Frame Type (0008,9007), else Image Type (0008,0008), in upper case."""
    for keyword in ("FrameType", "ImageType"):
        value = optional_value(dataset, keyword)
        values = value if isinstance(value, MultiValue | list) else [value]
        found = tuple(_clean(one) for one in values[:_MOST_TYPES]) if value else ()
        if any(found):
            return found
    return ()


def acquisition_of(dataset: Dataset) -> Acquisition | None:
    """Return what distinguishes an image from others of its series, or None if the header states nothing of it.

    Args:
        dataset: Attributes of the image, those of its functional groups included.
    """
    found = Acquisition(
        number=_integer(dataset, "FrameAcquisitionNumber", "AcquisitionNumber"),
        temporal_position=_integer(dataset, "TemporalPositionIndex", "TemporalPositionIdentifier"),
        echo_time=_first_number(dataset, "EffectiveEchoTime", "EchoTime"),
        b_value=number_value(dataset, "DiffusionBValue"),
        contrast_agent=_contrast_agent(dataset),
        trigger_time=_first_number(dataset, "NominalCardiacTriggerDelayTime", "TriggerTime"),
        kind=_kind(dataset),
        seconds=_seconds(dataset),
    )
    return None if found == Acquisition() else found


def begun_later(first: Acquisition | None, seconds: float) -> Acquisition:
    """Return the acquisition of a frame of a cine, whose time is after midnight if that of the first frame is known.

    Args:
        first: Acquisition of the first frame.
        seconds: Time after the first frame, from `frame_seconds`.
    """
    first = first or Acquisition()
    return replace(first, seconds=(first.seconds or 0) + seconds)


def frame_seconds(dataset: Dataset, count: int) -> Sequence[float] | None:
    """Return the times of the frames of a cine after the first frame, seconds; None if the header states none.

    Frame Time Vector (0018,1065) holds the increments between frames, Frame Time (0018,1063) their constant value, in
    milliseconds (PS3.3 C.7.6.5).

    Args:
        dataset: Attributes of the file.
        count: Number of frames.
    """
    increments = number_values(dataset, "FrameTimeVector")
    if len(increments) == count and min(increments) >= 0:
        total, times = 0.0, []
        for increment in (0.0, *increments[1:]):
            total += increment / 1000
            times.append(total)
        return times
    constant = number_value(dataset, "FrameTime")
    return [frame * constant / 1000 for frame in range(count)] if constant and constant > 0 else None


def _integer(dataset: Dataset, *keywords: str) -> int | None:
    value = _first_number(dataset, *keywords)
    return None if value is None else int(value)


def _first_number(dataset: Dataset, *keywords: str) -> float | None:
    found = (number_value(dataset, keyword) for keyword in keywords)
    return next((number for number in found if number is not None), None)


def _contrast_agent(dataset: Dataset) -> bool | None:
    """Return whether the agent was given when the frame was acquired, else whether the header names an agent."""
    administered = text_value(dataset, "ContrastBolusAgentAdministered")
    if administered in ("YES", "NO"):
        return administered == "YES"
    if "ContrastBolusAgent" not in dataset and "ContrastBolusAgentSequence" not in dataset:
        return None
    return bool(text_value(dataset, "ContrastBolusAgent") or optional_value(dataset, "ContrastBolusAgentSequence"))


def _kind(dataset: Dataset) -> str | None:
    component = _clean(optional_value(dataset, "ComplexImageComponent"))
    values = (*image_type(dataset)[2:], *([component] if component not in ("", _MAGNITUDE) else []))
    return "\\".join(values)[:LONGEST_TEXT] or None


def _seconds(dataset: Dataset) -> float | None:
    """Return the time of a frame after midnight, or after the first one if the header states no other."""
    own = _first_time(dataset, "FrameAcquisitionDateTime", "FrameReferenceDateTime")
    if own is not None:
        return own
    begin = _first_time(dataset, "AcquisitionDateTime", "AcquisitionTime")
    offset = number_value(dataset, "TemporalPositionTimeOffset")
    if offset is None:
        return begin
    return offset if begin is None else begin + offset


def _first_time(dataset: Dataset, *keywords: str) -> float | None:
    for keyword in keywords:
        pattern = _DATE_TIME if keyword.endswith("DateTime") else _TIME
        match = pattern.fullmatch(text_value(dataset, keyword) or "")
        if match:
            hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return 3600 * hours + 60 * minutes + seconds
    return None


def _clean(value: object) -> str:
    return " ".join(str(value or "").split()).upper()
