"""Set the attributes that all DICOM objects of a draft have, and encode the objects as files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from highdicom import ContributingEquipment
from highdicom.sr import CodedConcept
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as PydicomCode
from pydicom.uid import SecondaryCaptureImageStorage

from report_gen.imaging import raise_study_errors, shows_only_chest
from report_gen.outputs.codes import CHEST_RADIOGRAPHY, IMAGING_PROCEDURE, PROCEDURES, Code
from report_gen.outputs.dicom.identity import ObjectIdentity, Predecessor
from report_gen.outputs.dicom.valid_values import is_valid, valid_attributes
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.source_header import SourceImage, derived_uid
from report_gen.outputs.sr_terms import MANUFACTURER
from report_gen.records import Provenance, strip_controls

_REQUIRED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
"""Attributes of type 2 of the Patient and General Study Modules (PS3.3 C.7.1.1, C.7.2.1): empty if unknown."""

_NOT_COPIED = "its header cannot be copied to a DICOM object; export the study again, or repair it with dcmconv"


def device_uid(provenance: Provenance) -> str:
    """Return the Device UID of a model. IHE AI Results asks for a new one whenever a model is trained again.

    Of weights that this computer does not have, only the name of the model, its revision and its endpoint are known.
    """
    named = map(strip_controls, (provenance.model_name, provenance.model_revision, provenance.endpoint))
    return derived_uid("device", *([provenance.weights_sha256] if provenance.weights_sha256 else named))


def evidence_of(draft: DraftDocument) -> list[Dataset]:
    """Return the images as highdicom needs them: UIDs, and empty attributes of patient and study.

    Images of the prior study follow, which highdicom writes to the Pertinent Other Evidence Sequence, because they
    belong to another study (PS3.3 C.17.2). A study of pictures has one item, which names no object that exists:
    `finish` removes it from the references.
    """
    source, prior = draft.source, draft.prior_source
    images = [(image, source) for image in source.dicom_images or source.images[:1]]
    images += [] if prior is None else [(image, prior) for image in prior.dicom_images]
    return [_evidence_item(image, str(of_study.attributes.StudyInstanceUID)) for image, of_study in images]


def procedure_of(draft: DraftDocument) -> CodedConcept:
    """Return the imaging procedure of a study, as its header states it or as its modality and body part imply."""
    for item in draft.source.attributes.get("ProcedureCodeSequence") or ():
        if _is_code(item):
            return CodedConcept.from_dataset(item)
    implied = {PROCEDURES.get(series.modality or "", IMAGING_PROCEDURE) for series in draft.study.series}
    procedure = implied.pop() if len(implied) == 1 else IMAGING_PROCEDURE
    if procedure == PROCEDURES["DX"] and shows_only_chest(draft.study.series):
        procedure = CHEST_RADIOGRAPHY
    return to_concept(procedure)


def _is_code(item: Dataset) -> bool:
    """Return whether the item of a code sequence is complete and valid (PS3.3 8.8)."""
    values = [keyword for keyword in ("CodeValue", "LongCodeValue", "URNCodeValue") if keyword in item]
    stated = all(item.get(keyword) for keyword in (*values, "CodingSchemeDesignator", "CodeMeaning"))
    return len(values) == 1 and stated and all(map(is_valid, item))


def to_concept(code: Code) -> CodedConcept:
    """Return a code as highdicom writes it."""
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=long_string(code.meaning))


def long_string(text: str) -> str:
    """Return a text that the VR LO can hold: at most 64 characters without backslash (PS3.5 6.2)."""
    return strip_controls(text).replace("\\", "/")[:64].strip()


def draft_title(kind: str, version: int) -> str:
    """Return the Series Description of a kind of document. It begins with the kind, because viewers cut its end.

    Beside an image OHIF shows 17 characters, beside other documents 20 to 24. The number of a later version tells its
    series from those of the versions that it replaces.
    """
    number = "" if version == 1 else f" {version}"
    return f"DRAFT{number} {kind}, not for diagnosis, by report-gen"


def equipment_arguments(draft: DraftDocument, identity: ObjectIdentity, *, kind: str) -> dict[str, Any]:
    """Return the arguments of highdicom's classes about the General Equipment Module (PS3.3 C.7.5.1) and the times.

    Args:
        draft: The draft.
        identity: Identity of the object.
        kind: What the document is, for its title.
    """
    provenance = draft.report.provenance
    time = _local_time(provenance)
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": long_string(provenance.model_name) or "unknown",
        "software_versions": long_string(provenance.program_version) or "unknown",
        "series_description": draft_title(kind, identity.version),
        "content_date": time.date(),
        "content_time": time.time(),
        "specific_character_set": "ISO_IR 192",
    }


def finish(dataset: Dataset, draft: DraftDocument) -> bytes:
    """Copy patient and study from the source, set what highdicom leaves out, and encode a DICOM file.

    Args:
        dataset: The object; its patient and study attributes are replaced.
        draft: The draft.
    """
    for keyword in _REQUIRED:
        setattr(dataset, keyword, "")
    for element in valid_attributes(draft.source.attributes).attributes:
        dataset[element.tag] = element
    dataset.SpecificCharacterSet = "ISO_IR 192"  # UTF-8: names of any script
    dataset.ContributingEquipmentSequence = [_contributing_equipment(draft)]  # highdicom adds itself and the time
    time = _local_time(draft.report.provenance)
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = time.strftime("%Y%m%d"), time.strftime("%H%M%S")
    if not draft.source.dicom_images:  # type 1C, PS3.3 C.17.2: nothing that a picture could be referred to by
        dataset.pop("CurrentRequestedProcedureEvidenceSequence", None)
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


@contextmanager
def header_errors(draft: DraftDocument) -> Iterator[None]:
    """Convert the exceptions of highdicom and pydicom about values of the source into a StudyError.

    Raises:
        StudyError: An attribute of the source cannot be written.
    """
    with raise_study_errors(draft.source.images[0].image.path, _NOT_COPIED):
        yield


def add_predecessor(dataset: Dataset, identity: ObjectIdentity) -> None:
    """Refer to all earlier versions of a document (PredecessorDocumentsSequence, PS3.3 C.17.2.2 and C.24.2)."""
    if not identity.predecessors:
        return
    study = Dataset()
    study.StudyInstanceUID = identity.study_instance_uid
    study.ReferencedSeriesSequence = []
    for predecessor in identity.predecessors:
        reference = predecessor_reference(predecessor)
        reference.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(codes.DCM.ReplacedReport)]  # CID 7009
        series = Dataset()
        series.SeriesInstanceUID = predecessor.series_instance_uid
        series.ReferencedSOPSequence = [reference]
        study.ReferencedSeriesSequence.append(series)
    dataset.PredecessorDocumentsSequence = [study]


def predecessor_reference(predecessor: Predecessor) -> Dataset:
    """Return a reference to an earlier version."""
    return _reference(predecessor.sop_class_uid, predecessor.sop_instance_uid)


def source_reference(image: SourceImage, purpose: PydicomCode) -> Dataset:
    """Return a reference to an image of the study that has a header, with the purpose of the reference."""
    item = _reference(str(image.sop_class_uid), image.sop_instance_uid)
    item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(purpose)]
    return item


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return a reference to an object (SOP Instance Reference Macro, PS3.3 10.8)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def _contributing_equipment(draft: DraftDocument) -> ContributingEquipment:
    """Return the item by which IHE AI Results identifies the model (SOP Common Module, PS3.3 C.12.1).

    The serial number is the SHA-256 of the weights, from which the Device UID is derived; none if it is not known.
    """
    provenance = draft.report.provenance
    item = ContributingEquipment(
        MANUFACTURER,
        codes.DCM.ProcessingEquipment,
        manufacturer_model_name=long_string(provenance.model_name) or "unknown",
        software_versions=long_string(provenance.program_version) or "unknown",
        device_serial_number=provenance.weights_sha256 or None,
        contribution_datetime=_time(provenance).strftime("%Y%m%d%H%M%S%z"),
        contribution_description="Draft by a model, not for diagnosis",
    )
    item.DeviceUID = device_uid(provenance)
    return item


def _local_time(provenance: Provenance) -> datetime:
    """Return the time of the draft in local time, as all times of a DICOM object without an offset are."""
    return _time(provenance).astimezone().replace(tzinfo=None)


def _time(provenance: Provenance) -> datetime:
    time = datetime.fromisoformat(provenance.created).replace(microsecond=0)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _evidence_item(image: SourceImage, study_uid: str) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = study_uid
    item.SeriesInstanceUID, item.SOPInstanceUID = image.series_instance_uid, image.sop_instance_uid
    item.SOPClassUID = image.sop_class_uid or SecondaryCaptureImageStorage
    for keyword in _REQUIRED:
        setattr(item, keyword, "")
    return item
