"""Write the page of a draft as an Encapsulated PDF, for viewers that do not show structured reports."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from report_gen.outputs.codes import REPORT
from report_gen.outputs.dicom.attributes import (
    add_predecessor,
    equipment_arguments,
    finish,
    header_errors,
    source_reference,
    to_concept,
)
from report_gen.outputs.dicom.identity import ObjectIdentity, identify_object
from report_gen.outputs.document import DraftDocument

_SERIES_NUMBER = 9603


def format_dicom_pdf(draft: DraftDocument) -> bytes:
    """Write the page of a draft, which the format `pdf` makes, as a DICOM Encapsulated PDF (PS3.3 A.45.1).

    Args:
        draft: The draft.

    Raises:
        StudyError: The source cannot be read or copied, or `revises` is no earlier version.
    """
    identity = identify_object(
        draft, format_name="dicom-pdf", sop_class_uid=EncapsulatedPDFStorage, series_number=_SERIES_NUMBER
    )
    page = draft.pdf
    with header_errors(draft):
        dataset = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = identity.sop_class_uid, identity.sop_instance_uid
        dataset.SeriesInstanceUID, dataset.SeriesNumber = identity.series_instance_uid, identity.series_number
        dataset.InstanceNumber = identity.version
        _set_equipment(dataset, draft, identity)
        _set_document(dataset, page)
        purpose = codes.DCM.SourceImage  # CID 7060
        if sources := [source_reference(image, purpose) for image in draft.source.dicom_images]:
            dataset.SourceInstanceSequence = sources
        add_predecessor(dataset, identity)
        return finish(dataset, draft)


def _set_equipment(dataset: Dataset, draft: DraftDocument, identity: ObjectIdentity) -> None:
    """Set the Series, General Equipment and SC Equipment Modules and the content time."""
    arguments = equipment_arguments(draft, identity, kind="PDF report")
    dataset.Modality = "DOC"
    dataset.SeriesDescription = arguments["series_description"]
    dataset.Manufacturer = arguments["manufacturer"]
    dataset.ManufacturerModelName = arguments["manufacturer_model_name"]
    dataset.SoftwareVersions = arguments["software_versions"]
    dataset.ConversionType = "WSD"  # workstation (PS3.3 C.8.6.1)
    dataset.ContentDate = arguments["content_date"].strftime("%Y%m%d")
    dataset.ContentTime = arguments["content_time"].strftime("%H%M%S")


def _set_document(dataset: Dataset, page: bytes) -> None:
    """Set the Encapsulated Document Module (PS3.3 C.24.2). The page is padded to even length."""
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES"  # the page names the patient
    dataset.DocumentTitle = dataset.SeriesDescription
    dataset.ConceptNameCodeSequence = [to_concept(REPORT)]
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(page)
    dataset.EncapsulatedDocument = page + b"\0" * (len(page) % 2)
