"""Identify the DICOM object of a draft: its series, its instance and the object that it replaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID

from report_gen.errors import StudyError
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.identity import identifying_content
from report_gen.outputs.source_header import derived_uid
from report_gen.outputs.sr_terms import MANUFACTURER

_KEYWORDS = [
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber"),
    *("Manufacturer", "VerificationFlag", "PreliminaryFlag"),
]


@dataclass(frozen=True, kw_only=True)
class ObjectIdentity:
    """UIDs and numbers of a DICOM object."""

    sop_class_uid: UID
    sop_instance_uid: str
    series_instance_uid: str
    series_number: int
    instance_number: int
    predecessor: Dataset | None
    """UIDs of the object that this one replaces."""


def identify_object(
    draft: DraftDocument, *, format_name: str, sop_class_uid: UID, series_number: int
) -> ObjectIdentity:
    """Return the identity of the object of a draft.

    UIDs are derived from the content, so that an archive that gets the same draft twice stores it once. The series
    depends on study, format, SOP class and weights: two SOP classes never share a series, which viewers cannot show.
    The instance depends on the draft as well, but not on its time. A new version belongs to the series of the earlier
    one, because viewers show the last instance of a series of reports.

    Args:
        draft: The draft.
        format_name: Name of the output format.
        sop_class_uid: SOP class of the object.
        series_number: Series Number (0020,0011) of the first version.

    Raises:
        StudyError: `DraftDocument.revises` is no object of this format and study.
    """
    study_uid = str(draft.source.attributes.StudyInstanceUID)
    series_uid = derived_uid("series", study_uid, format_name, sop_class_uid, draft.report.provenance.weights_sha256)
    paper = draft.options.paper if format_name == "dicom-pdf" else ""
    instance = ("instance", series_uid, *identifying_content(draft), paper)
    if draft.revises is None:
        return ObjectIdentity(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=derived_uid(*instance),
            series_instance_uid=series_uid,
            series_number=series_number,
            instance_number=1,
            predecessor=None,
        )
    earlier = _read_earlier(draft.revises, format_name, sop_class_uid, study_uid)
    return ObjectIdentity(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=derived_uid(*instance, str(earlier.SOPInstanceUID)),
        series_instance_uid=str(earlier.SeriesInstanceUID),
        series_number=int(earlier.get("SeriesNumber") or series_number),
        instance_number=int(earlier.get("InstanceNumber") or 0) + 1,
        predecessor=earlier,
    )


def _read_earlier(path: Path, format_name: str, sop_class_uid: UID, study_uid: str) -> Dataset:
    try:
        earlier = dcmread(path, specific_tags=[*_KEYWORDS])
    except OSError as error:
        reason = f"the earlier version cannot be read ({error.strerror}); check the path"
        raise StudyError(path, reason) from error
    except InvalidDicomError as error:
        raise StudyError(path, f"not a DICOM file; give an earlier file of the format {format_name}") from error
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        if not earlier.get(keyword):
            raise StudyError(path, f"the earlier version has no {keyword}; give a file that report-gen wrote")
    if earlier.get("SOPClassUID") != sop_class_uid:
        found = UID(str(earlier.get("SOPClassUID") or "")).name or "an object without SOP class"
        raise StudyError(
            path, f"the earlier version is {found}, the new one {sop_class_uid.name}; give one of its kind"
        )
    if earlier.get("Manufacturer") != MANUFACTURER:
        raise StudyError(path, "was not written by report-gen, so no draft replaces it; give a draft of report-gen")
    if earlier.get("VerificationFlag") == "VERIFIED" or earlier.get("PreliminaryFlag") == "FINAL":
        raise StudyError(path, "is verified or final, so no draft replaces it; store the new draft beside it")
    if earlier.get("StudyInstanceUID") != study_uid:
        raise StudyError(path, "the earlier version belongs to another study; give one of the same study")
    return earlier
