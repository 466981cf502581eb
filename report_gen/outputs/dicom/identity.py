"""Identify the DICOM object of a draft: its series, its instance and the object that it replaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from report_gen.errors import StudyError
from report_gen.imaging import raise_study_errors
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.identity import identifying_content
from report_gen.outputs.report_file import BROKEN_DICOM
from report_gen.outputs.source_header import derived_uid
from report_gen.outputs.sr_terms import MANUFACTURER
from report_gen.outputs.versions import DocumentVersion

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_PREDECESSORS = ("PredecessorDocumentsSequence", "ReferencedImageSequence")
"""Attributes in which documents, and key images, refer to all earlier versions, the first one first."""
_NUMBERS = ("SeriesNumber", "InstanceNumber")
_FLAGS = ("Manufacturer", "VerificationFlag", "PreliminaryFlag")
_LARGEST_NUMBER = 2**31 - 2
"""Largest Instance Number that can have a successor (PS3.5 6.2, VR IS)."""


@dataclass(frozen=True, kw_only=True)
class Predecessor:
    """An object of an earlier version."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    """Empty for a key image, which refers to other images without their series."""


@dataclass(frozen=True, kw_only=True)
class ObjectIdentity:
    """UIDs and numbers of a DICOM object."""

    sop_class_uid: UID
    sop_instance_uid: str
    series_instance_uid: str
    series_number: int
    version: int
    """Number of the version, which is the Instance Number (0020,0013)."""
    study_instance_uid: str
    predecessors: tuple[Predecessor, ...]
    """All earlier versions, the first one first. This object replaces the last of them."""

    @property
    def document_uid(self) -> str:
        """UID that all versions of the document share: that of the first one."""
        return self.predecessors[0].sop_instance_uid if self.predecessors else self.sop_instance_uid


def identify_object(
    draft: DraftDocument, *, format_name: str, sop_class_uid: UID, series_number: int
) -> ObjectIdentity:
    """Return the identity of the object of a draft.

    UIDs are derived from the content, so that an archive that gets the same draft twice stores it once. The time of
    the draft does not belong to its content.

    Each version of each draft has a series of its own. Of a series of text reports OHIF shows the first instance and no
    other, so a reader would see the report that was replaced. The series also depends on format and SOP class: two SOP
    classes never share a series, which viewers cannot show.

    Args:
        draft: The draft.
        format_name: Name of the output format.
        sop_class_uid: SOP class of the object.
        series_number: Series Number (0020,0011).

    Raises:
        StudyError: `DraftDocument.revises` is not an object of this format and study.
    """
    study_uid = str(draft.source.attributes.StudyInstanceUID)
    version, predecessors = 1, tuple[Predecessor, ...]()
    if draft.revises is not None:
        earlier = _read_earlier(draft.revises, format_name, sop_class_uid, study_uid)
        version, predecessors = int(earlier.InstanceNumber) + 1, (*_predecessors(earlier), _predecessor(earlier))
    paper = draft.options.paper if format_name == "dicom-pdf" else ""
    replaced = predecessors[-1].sop_instance_uid if predecessors else ""
    content = identifying_content(draft)
    series_uid = derived_uid("series", study_uid, format_name, sop_class_uid, *content, paper, replaced)
    return ObjectIdentity(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=derived_uid("instance", series_uid),
        series_instance_uid=series_uid,
        series_number=series_number,
        version=version,
        study_instance_uid=study_uid,
        predecessors=predecessors,
    )


def read_object_version(path: Path) -> DocumentVersion:
    """Return the version of a DICOM object: the UID of its first version, and its number.

    Raises:
        StudyError: The file is no DICOM object that report-gen wrote.
    """
    found = _read_draft_object(path)
    (first, *_) = (*_predecessors(found), _predecessor(found))
    return DocumentVersion(first.sop_instance_uid, int(found.InstanceNumber))


def _predecessor(found: Dataset) -> Predecessor:
    return Predecessor(
        sop_class_uid=str(found.SOPClassUID),
        sop_instance_uid=str(found.SOPInstanceUID),
        series_instance_uid=str(found.SeriesInstanceUID),
    )


def _predecessors(found: Dataset) -> tuple[Predecessor, ...]:
    """Return the earlier versions that an object refers to, the first one first."""
    documents = [
        Predecessor(
            sop_class_uid=str(reference.ReferencedSOPClassUID),
            sop_instance_uid=str(reference.ReferencedSOPInstanceUID),
            series_instance_uid=str(series.SeriesInstanceUID),
        )
        for study in found.get("PredecessorDocumentsSequence") or ()
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    ]
    images = [
        Predecessor(
            sop_class_uid=str(reference.ReferencedSOPClassUID),
            sop_instance_uid=str(reference.ReferencedSOPInstanceUID),
            series_instance_uid="",
        )
        for reference in found.get("ReferencedImageSequence") or ()
    ]
    return (*documents, *images)


def _read_earlier(path: Path, format_name: str, sop_class_uid: UID, study_uid: str) -> Dataset:
    """Return the UIDs and numbers of the object that a draft is to replace.

    Raises:
        StudyError: The draft cannot replace the object.
    """
    earlier = _read_draft_object(path)
    if earlier.SOPClassUID != sop_class_uid:
        raise StudyError(
            path,
            f"the earlier version is {UID(earlier.SOPClassUID).name}, the new one {sop_class_uid.name}; give one of "
            f"the format {format_name}",
        )
    if earlier.get("VerificationFlag") == "VERIFIED" or earlier.get("PreliminaryFlag") == "FINAL":
        raise StudyError(path, "is verified or final, so no draft replaces it; store the new draft beside it")
    if earlier.StudyInstanceUID != study_uid:
        raise StudyError(path, "the earlier version belongs to another study; give one of the same study")
    return earlier


def _read_draft_object(path: Path) -> Dataset:
    """Return the identity of a DICOM object that report-gen wrote, with valid UIDs and numbers."""
    with raise_study_errors(path, BROKEN_DICOM):
        try:
            found = dcmread(path, specific_tags=[*_UIDS, *_NUMBERS, *_FLAGS, *_PREDECESSORS], stop_before_pixels=True)
        except InvalidDicomError as error:
            raise StudyError(path, "not a DICOM file; give a DICOM draft of report-gen") from error
        if found.get("Manufacturer") != MANUFACTURER:
            raise StudyError(path, "was not written by report-gen, so no draft replaces it; give a draft of report-gen")
        valid = {keyword: UID(str(found.get(keyword, ""))).is_valid for keyword in _UIDS}
        valid |= {keyword: 0 < int(found.get(keyword) or 0) <= _LARGEST_NUMBER for keyword in _NUMBERS}
        for keyword, is_valid in valid.items():
            if not is_valid:
                raise StudyError(path, f"the earlier version has no valid {keyword}; give a draft of report-gen")
        for one in _predecessors(found):
            if not (UID(one.sop_class_uid).is_valid and UID(one.sop_instance_uid).is_valid):
                raise StudyError(path, "refers to no valid earlier version; give a draft of report-gen")
        return found
