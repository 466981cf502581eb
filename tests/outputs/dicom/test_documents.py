"""The page and the key image of a draft as DICOM objects."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from report_gen.outputs.dicom import format_dicom_pdf, format_dicom_sc
from tests.outputs.dicom.conftest import KEY_IMAGE, PDF, Draft


def test_the_page_is_the_encapsulated_document(draft: Draft) -> None:
    document = draft()
    dataset = dcmread(BytesIO(format_dicom_pdf(document)))
    assert dataset.SOPClassUID == EncapsulatedPDFStorage
    assert dataset.Modality == "DOC"
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
