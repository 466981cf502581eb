"""The page and the key image of a draft as DICOM objects."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from report_gen.outputs import get_format
from report_gen.outputs.dicom import format_dicom_pdf, format_dicom_sc
from tests.outputs.dicom.conftest import KEY_IMAGE, PDF, Draft


def test_the_page_is_the_encapsulated_document(draft: Draft) -> None:
    document = draft()
    dataset = dcmread(BytesIO(format_dicom_pdf(document)))
    assert dataset.SOPClassUID == EncapsulatedPDFStorage
    assert dataset.Modality == "DOC"
    assert dataset.DocumentTitle == "DRAFT PDF report, not for diagnosis, by report-gen"
    assert dataset.EncapsulatedDocumentLength == len(PDF)
    assert dataset.EncapsulatedDocument == PDF + b"\0" * (len(PDF) % 2)
    assert dataset.BurnedInAnnotation == "YES"
    assert dataset.VerificationFlag == "UNVERIFIED"
    (source,) = dataset.SourceInstanceSequence
    assert source.ReferencedSOPInstanceUID == document.study.images[0].sop_instance_uid


def test_the_key_image_is_a_secondary_capture(draft: Draft) -> None:
    document = draft()
    dataset = dcmread(BytesIO(format_dicom_sc(document)))
    assert dataset.SOPClassUID == SecondaryCaptureImageStorage
    assert list(dataset.ImageType)[:2] == ["DERIVED", "SECONDARY"]
    np.testing.assert_array_equal(dataset.pixel_array, KEY_IMAGE)
    assert dataset.BurnedInAnnotation == "YES"
    assert "not for diagnosis" in dataset.DerivationDescription
    (source,) = dataset.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == document.study.images[0].sop_instance_uid


def test_a_picture_is_not_referred_to(draft: Draft) -> None:
    assert "SourceInstanceSequence" not in dcmread(BytesIO(format_dicom_pdf(draft("picture"))))
    assert "SourceImageSequence" not in dcmread(BytesIO(format_dicom_sc(draft("picture"))))


def test_the_series_of_a_draft_can_be_told_apart_in_a_list(draft: Draft) -> None:
    """OHIF shows 22 characters of a Series Description."""
    names = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")
    objects = [dcmread(BytesIO(get_format(name).render(draft()))) for name in names]
    descriptions = [dataset.SeriesDescription for dataset in objects]
    assert len({description[:22] for description in descriptions}) == len(names)
    assert all(text.startswith("DRAFT ") and "not for diagnosis" in text and len(text) <= 64 for text in descriptions)
