"""Read what documents copy from the images that a draft was made from: patient, study, and references to the images."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from report_gen.errors import StudyError
from report_gen.imaging import is_dicom, raise_study_errors, read_attributes
from report_gen.outputs.demographics import raw_text
from report_gen.records import Image, Study

PATIENT_KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "OtherPatientIDsSequence",
    "PatientBirthDate",
    "PatientSex",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsibleOrganization",
)
"""Attributes of the Patient Module (PS3.3 C.7.1.1) that are copied."""

STUDY_KEYWORDS = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "StudyDescription",
    "ProcedureCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
)
"""Attributes of the General Study and Patient Study Modules (PS3.3 C.7.2) that are copied."""

_IDENTIFIERS = ("PatientID", "IssuerOfPatientID", "AccessionNumber")
"""Attributes that lose the spaces around their values, see `identifier_of`: all formats then have the same value."""

_IMAGE_KEYWORDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "NumberOfFrames")
_KEYWORDS = ("SpecificCharacterSet", *PATIENT_KEYWORDS, *STUDY_KEYWORDS, *_IMAGE_KEYWORDS)

_NAMESPACE = uuid.UUID("6f0e6e0c-5d0b-4d54-9a55-6b1a1f4b8a0e")
"""Namespace of the UIDs that report-gen derives."""


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """An image of the study, as documents refer to it."""

    image: Image
    sop_class_uid: str | None
    """None for a picture without a DICOM header, to which no DICOM document can refer."""
    sop_instance_uid: str
    """UID of the header, or one derived from the content of a picture."""
    series_instance_uid: str
    frames: int


@dataclass(frozen=True, kw_only=True)
class SourceHeader:
    """Patient, study and images that a document is about."""

    attributes: Dataset
    """Attributes of patient and study (`PATIENT_KEYWORDS`, `STUDY_KEYWORDS`) of the first image whose header has a
    Patient ID, else of the first one that has a header, with decoded texts. It always has a StudyInstanceUID."""
    images: tuple[SourceImage, ...]
    """The images of the study in their order."""

    @property
    def dicom_images(self) -> tuple[SourceImage, ...]:
        """The images that have a DICOM header."""
        return tuple(image for image in self.images if image.sop_class_uid is not None)


def read_source_header(
    study: Study, *, patient_id: str | None = None, accession_number: str | None = None
) -> SourceHeader:
    """Read the headers of a study's images.

    A study of pictures without a header gets UIDs that are derived from the content of its images, so that all
    documents of the study agree.

    Args:
        study: The study.
        patient_id: Patient ID of a study without headers.
        accession_number: Accession number of a study without headers.

    Raises:
        StudyError: A file cannot be read any more or was changed since the study was read, so that it may be of another
            patient, or a DICOM header lacks a UID that documents refer to.
    """
    headers = [_read_header(image) for image in study.images]
    read = [header for header in headers if header is not None]
    first = next((header for header in read if header.get("PatientID")), read[0] if read else None)
    attributes = Dataset()
    if first is None:
        digests, patient_id = [image.sha256 for image in study.images], (patient_id or "").strip(" ")
        attributes.StudyInstanceUID = derived_uid("study", *digests, patient_id)  # of one patient only
        attributes.PatientID, attributes.AccessionNumber = patient_id, (accession_number or "").strip(" ")
    else:
        for keyword in (*PATIENT_KEYWORDS, *STUDY_KEYWORDS):
            if keyword in first:
                attributes.add(first[keyword])
        for keyword in _IDENTIFIERS:
            text = raw_text(first, keyword)
            if isinstance(first.get(keyword), str | MultiValue) and text != text.strip(" "):
                attributes[keyword].value = text.strip(" ")
    images = [_source_image(image, header) for image, header in zip(study.images, headers, strict=True)]
    return SourceHeader(attributes=attributes, images=tuple(images))


def derived_uid(*parts: str) -> str:
    """Return a UID that depends on the parts only, derived from a UUID (PS3.5 B.2)."""
    return f"2.25.{derived_uuid(*parts).int}"


def derived_uuid(*parts: str) -> uuid.UUID:
    """Return a UUID that depends on the parts only, of version 5 (RFC 9562 5.5)."""
    return uuid.uuid5(_NAMESPACE, chr(0).join(parts))


def _read_header(image: Image) -> Dataset | None:
    """Return the attributes of a DICOM file, or None for a picture."""
    with raise_study_errors(image.path):
        with image.path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != image.sha256:
                raise StudyError(image.path, "was changed since it was drafted; draft the study again")
            file.seek(0)
            if not is_dicom(file.read(132)):
                return None
        dataset = read_attributes(image.path, _KEYWORDS)
        dataset.decode()
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            if not _is_uid(dataset.get(keyword)):
                raise StudyError(
                    image.path,
                    f"the header has no valid {keyword}, so no document can refer to the image; export it from the "
                    "archive again, or choose --format txt or json",
                )
        return dataset


def _is_uid(value: object) -> bool:
    """Return whether a value is one valid UID (PS3.5 9.1): not missing, not several, no other characters."""
    return isinstance(value, str) and UID(value).is_valid


def _source_image(image: Image, header: Dataset | None) -> SourceImage:
    if header is None:
        return SourceImage(
            image=image,
            sop_class_uid=None,
            sop_instance_uid=derived_uid("image", image.sha256),
            series_instance_uid=derived_uid("series", image.sha256),
            frames=1,
        )
    with raise_study_errors(image.path):
        return SourceImage(
            image=image,
            sop_class_uid=str(header.SOPClassUID),
            sop_instance_uid=str(header.SOPInstanceUID),
            series_instance_uid=str(header.SeriesInstanceUID),
            frames=int(header.get("NumberOfFrames") or 1),
        )
