"""Read what documents copy from the images that a draft was made from: patient, study, and references to the images."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from pathlib import Path

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.uid import UID

from report_gen.errors import StudyError
from report_gen.imaging import is_dicom, raise_study_errors, read_attributes
from report_gen.outputs.demographics import raw_text
from report_gen.records import Image, Study

IDENTIFIERS = ("StudyInstanceUID", "PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID")
"""Attributes by which archives file an object. A document is refused rather than written without one of them."""

PATIENT_KEYWORDS = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "SourcePatientGroupIdentificationSequence",
    "GroupOfPatientsIdentificationSequence",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientBirthDateInAlternativeCalendar",
    "PatientDeathDateInAlternativeCalendar",
    "PatientAlternativeCalendar",
    "PatientSex",
    "QualityControlSubject",
    "StrainDescription",
    "StrainNomenclature",
    "StrainStockSequence",
    "StrainAdditionalInformation",
    "StrainCodeSequence",
    "GeneticModificationsSequence",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)
"""Attributes of the Patient Module (PS3.3 C.7.1.1) that are copied: all that identify the patient or say what the
patient is. The ethnic group, photographs and comments are not needed to file a document, and are left out."""

STUDY_KEYWORDS = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "ReferringPhysicianName",
    "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "ConsultingPhysicianIdentificationSequence",
    "PhysiciansOfRecord",
    "PhysiciansOfRecordIdentificationSequence",
    "RequestingService",
    "RequestingServiceCodeSequence",
    "ReferencedStudySequence",
    "StudyDescription",
    "ProcedureCodeSequence",
    "ReasonForPerformedProcedureCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientSexNeutered",
    "AdmissionID",
    "IssuerOfAdmissionIDSequence",
    "ServiceEpisodeID",
    "IssuerOfServiceEpisodeIDSequence",
)
"""Attributes of the General Study and Patient Study Modules (PS3.3 C.7.2) that are copied: those that an object of the
same study repeats (IHE RAD TF-2x appendix A), with the issuers of its identifiers. The physicians who read the study
are left out, because a draft was read by none; so are diagnoses, allergies and other parts of the history."""

_STRIPPED = ("PatientID", "IssuerOfPatientID", "AccessionNumber")
"""Attributes that lose the spaces around their values, see `identifier_of`: all formats then have the same value."""

_IMAGE_KEYWORDS = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "NumberOfFrames")
_KEYWORDS = ("SpecificCharacterSet", *PATIENT_KEYWORDS, *STUDY_KEYWORDS, *_IMAGE_KEYWORDS)

_TEXTS = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UT"))
"""Value representations whose values are characters (PS3.5 6.2)."""

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
        for keyword in _STRIPPED:
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
        dataset = _standard_values(read_attributes(image.path, _KEYWORDS), image.path)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            if not _is_uid(dataset.get(keyword)):
                raise StudyError(
                    image.path,
                    f"the header has no valid {keyword}, so no document can refer to the image; export it from the "
                    "archive again, or choose --format txt or json",
                )
        return dataset


def _standard_values(header: Dataset, path: Path) -> Dataset:
    """Return the attributes of a header with decoded texts and the VR of the data dictionary (PS3.6).

    A value that cannot be read is left out, so that a wrong weight does not cost the document.

    Raises:
        StudyError: The value that cannot be read is one by which archives file the document.
    """
    standard = Dataset()
    for keyword in _KEYWORDS:
        if keyword not in header:
            continue
        try:
            with raise_study_errors(path):
                standard.add(_standard_element(header, keyword))
        except StudyError:
            if keyword in IDENTIFIERS:
                raise
    return standard


def _standard_element(header: Dataset, keyword: str) -> DataElement:
    """Return an attribute with the VR of the data dictionary.

    Raises:
        ValueError: The value is a text where a sequence must be, or the reverse. pydicom raises other exceptions.
    """
    element = header[keyword]
    expected = dictionary_VR(keyword)
    decoded = Dataset()
    decoded.SpecificCharacterSet = header.get("SpecificCharacterSet", "")
    decoded.add(element)
    decoded.decode()
    for nested in decoded.iterall():
        nested.value  # noqa: B018 - pydicom converts a value when it is read
    if expected == element.VR:
        return element
    if not {expected, element.VR} <= _TEXTS:
        raise ValueError(f"{keyword} has the VR {element.VR}")
    values = element.value if element.VM > 1 else [element.value]
    return DataElement(element.tag, expected, [str(value) for value in values])


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
