"""Read the functional groups of the frames of an enhanced object (PS3.3 C.7.6.16).

An enhanced object keeps window, rescale, spacing, position and shutter in its functional groups, other objects at the
top of the data set. `promote_groups` copies them there, so that one code reads both.
"""

from __future__ import annotations

from array import array
from collections.abc import MutableSequence, Sequence
from typing import Literal

from pydicom import Dataset, filereader
from pydicom.tag import Tag

from report_gen.imaging.bounded_file import BoundedFile
from report_gen.imaging.fragments import ITEM
from report_gen.imaging.limits import MAX_FRAMES
from report_gen.imaging.sequence_checks import check_items

SHUTTER_KEYWORDS = (
    "ShutterShape",
    "ShutterLeftVerticalEdge",
    "ShutterRightVerticalEdge",
    "ShutterUpperHorizontalEdge",
    "ShutterLowerHorizontalEdge",
    "CenterOfCircularShutter",
    "RadiusOfCircularShutter",
    "VerticesOfThePolygonalShutter",
    "ShutterPresentationValue",
)
"""Attributes of the Display Shutter (PS3.3 C.7.6.11)."""

_FRAME_TYPE = ("FrameType", "ComplexImageComponent")
MACROS = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),  # PS3.3 C.7.6.16.2.1
    "PlanePositionSequence": ("ImagePositionPatient",),  # PS3.3 C.7.6.16.2.3
    "PlaneOrientationSequence": ("ImageOrientationPatient",),  # PS3.3 C.7.6.16.2.4
    "FrameContentSequence": (  # PS3.3 C.7.6.16.2.2
        *("FrameAcquisitionNumber", "FrameReferenceDateTime", "FrameAcquisitionDateTime", "TemporalPositionIndex"),
    ),
    "CardiacSynchronizationSequence": ("NominalCardiacTriggerDelayTime",),  # PS3.3 C.7.6.16.2.7
    "FrameAnatomySequence": ("AnatomicRegionSequence",),  # PS3.3 C.7.6.16.2.8
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),  # PS3.3 C.7.6.16.2.9b
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),  # C.7.6.16.2.10
    "ContrastBolusUsageSequence": ("ContrastBolusAgentAdministered",),  # PS3.3 C.7.6.16.2.12
    "FrameDisplayShutterSequence": SHUTTER_KEYWORDS,  # PS3.3 C.7.6.16.2.16
    "TemporalPositionSequence": ("TemporalPositionTimeOffset",),  # PS3.3 C.7.6.16.2.20
    "MREchoSequence": ("EffectiveEchoTime",),  # PS3.3 C.8.13.5.4
    "MRDiffusionSequence": ("DiffusionBValue",),  # PS3.3 C.8.13.5.9
    # Frame Type: PS3.3 C.8.13.5.1, C.8.15.3.1, C.8.22.5.1, C.8.21.5.1, C.8.24.6.1
    "MRImageFrameTypeSequence": _FRAME_TYPE,
    "CTImageFrameTypeSequence": _FRAME_TYPE,
    "PETFrameTypeSequence": _FRAME_TYPE,
    "XRay3DFrameTypeSequence": _FRAME_TYPE,
    "USImageDescriptionSequence": _FRAME_TYPE,
}
"""The attributes that are read of each macro of the functional groups."""

_ATTRIBUTES = {
    Tag(macro): frozenset(Tag(attribute) for attribute in attributes) for macro, attributes in MACROS.items()
}
"""The tags of the attributes of each macro."""

_SHARED = "SharedFunctionalGroupsSequence"
PER_FRAME_TAG = 0x52009230
"""Tag of the Per-frame Functional Groups Sequence."""
FUNCTIONAL_GROUP_KEYWORDS = (_SHARED, *MACROS)
"""Attributes that must be read so that `promote_shared_groups` finds the shared functional groups."""

_SEQUENCE_END = b"\xfe\xff\xdd\xe0"
_UNDEFINED_LENGTH = 0xFFFFFFFF

_MAX_BYTES, _MAX_READS = 2**28, 2**22
"""Most bytes and reads for finding the items, which are parsed if their length is undefined. A frame has some 50
elements of two or three reads, and several hundred if a vendor adds private ones."""
_MAX_ITEM_BYTES, _MAX_ITEM_READS = 2**20, 2**14
"""Most bytes and reads of one item. A VOI LUT of 65,536 entries has 131,072 bytes."""


class FrameGroups:
    """The items of the Per-frame Functional Groups Sequence of an open file, each of which is read when it is needed.

    A thousand of them, parsed at once, would take tens of megabytes.

    Args:
        file: The file.
        starts: Offset of each item.
        is_implicit: Whether the items have implicit value representations.
        is_little: Whether they are little endian.
        encoding: Character set of their texts, for pydicom.
    """

    def __init__(
        self,
        file: BoundedFile,
        starts: Sequence[int] = (),
        *,
        is_implicit: bool = True,
        is_little: bool = True,
        encoding: str | MutableSequence[str] = "",
    ) -> None:
        self._file, self._starts = file, starts
        self._is_implicit, self._is_little, self._encoding = is_implicit, is_little, encoding

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, frame: int) -> Dataset:
        """Read the functional groups of one frame. An object without groups of frames has an empty one.

        Raises:
            StudyError: The item is larger than functional groups are.
        """
        if not self._starts:
            return Dataset()
        self._file.seek(self._starts[frame])
        with self._file.bounded(_MAX_ITEM_BYTES, _MAX_ITEM_READS):
            item = filereader.read_sequence_item(self._file, self._is_implicit, self._is_little, self._encoding)
        check_items(item or Dataset(), self._file.path)
        return item or Dataset()


def find_frame_groups(file: BoundedFile, dataset: Dataset) -> FrameGroups:
    """Find the items of the Per-frame Functional Groups Sequence, and leave the file behind the sequence.

    Args:
        file: The file, positioned at the sequence.
        dataset: Attributes before the sequence, whose encoding the items share.

    Raises:
        StudyError: The sequence is larger than functional groups are.
        ValueError: The sequence is malformed.
    """
    is_little = bool(dataset.original_encoding[1])
    order: Literal["little", "big"] = "little" if is_little else "big"
    encoding = dataset.original_character_set
    head = file.read(8)
    is_implicit = head[4:6] not in (b"SQ", b"UN")
    length = int.from_bytes(head[4:8] if is_implicit else file.read(4), order)
    end = None if length == _UNDEFINED_LENGTH else file.tell() + length
    starts = array("Q")
    with file.bounded(_MAX_BYTES, _MAX_READS):
        while end is None or file.tell() < end:
            start, item = file.tell(), file.read(8)
            tag = item[:4] if is_little else item[1::-1] + item[3:1:-1]
            if tag == _SEQUENCE_END:
                break
            if tag != ITEM or len(starts) == MAX_FRAMES:
                raise ValueError("no item, or too many of them, in the functional groups of the frames")
            starts.append(start)
            size = int.from_bytes(item[4:8], order)
            if size != _UNDEFINED_LENGTH:
                file.seek(size, 1)
            else:  # its end is found only by parsing it
                file.seek(start)
                filereader.read_sequence_item(file, is_implicit, is_little, encoding)
    if end is not None:
        file.seek(end)
    return FrameGroups(file, starts, is_implicit=is_implicit, is_little=is_little, encoding=encoding)


def promote_shared_groups(dataset: Dataset) -> None:
    """Copy the attributes of the functional groups that all frames share to the top of the data set."""
    for group in (dataset.get(_SHARED) or ())[:1]:
        promote_groups(dataset, group)


def promote_groups(dataset: Dataset, groups: Dataset) -> None:
    """Copy the attributes of functional groups to the top of the data set, where they replace others.

    Args:
        dataset: Attributes of the file or frame; they are changed.
        groups: Groups of the frame, from `FrameGroups`, or shared groups. Those of the frame take precedence.
    """
    for tag in groups.keys() & _ATTRIBUTES.keys():
        for item in (groups[tag].value or ())[:1]:
            for attribute in item.keys() & _ATTRIBUTES[tag]:
                dataset[attribute] = item[attribute]
