"""The page and the key image of a draft as DICOM objects."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from report_gen.outputs import DraftDocument, get_format
from report_gen.outputs.dicom import format_dicom_pdf, format_dicom_sc
from tests.dicom_files import coded, item
from tests.outputs.dicom.conftest import KEY_IMAGE, PDF, Draft

FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")


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
    objects = [dcmread(BytesIO(get_format(name).render(draft()))) for name in FORMATS]
    descriptions = [dataset.SeriesDescription for dataset in objects]
    assert len({description[:22] for description in descriptions}) == len(FORMATS)
    assert all(text.startswith("DRAFT ") and "not for diagnosis" in text and len(text) <= 64 for text in descriptions)


QUALIFIERS = {"UniversalEntityID": "1.2.40.0.13", "UniversalEntityIDType": "ISO", "IdentifierTypeCode": "MR"}
ISSUER = {"LocalNamespaceEntityID": "HOSPITAL"}
IDENTITY: dict[str, Any] = {
    "PatientID": "P1",
    "IssuerOfPatientID": "HOSPITAL",
    "TypeOfPatientID": "TEXT",
    "IssuerOfPatientIDQualifiersSequence": [item(**QUALIFIERS)],
    "OtherPatientIDsSequence": [
        item(
            PatientID="P2",
            TypeOfPatientID="TEXT",
            IssuerOfPatientID="CLINIC",
            IssuerOfPatientIDQualifiersSequence=[item(**QUALIFIERS)],
        )
    ],
    "OtherPatientNames": ["Doe^Jan", "Müller^J"],
    "PatientBirthTime": "1230",
    "QualityControlSubject": "NO",
    "ResponsiblePerson": "Doe^Ann",
    "ResponsiblePersonRole": "PARENT",
    "PatientIdentityRemoved": "YES",
    "DeidentificationMethod": ["one", "two"],
    "IssuerOfAccessionNumberSequence": [item(**ISSUER)],
    "ReferringPhysicianIdentificationSequence": [
        item(PersonIdentificationCodeSequence=[coded("1", "99HOSPITAL")], InstitutionName="Hospital")
    ],
    "PhysiciansOfRecord": ["Ørsted^Hans", "Doe^Ann"],
    "RequestingService": "ICU",
    "ReferencedStudySequence": [
        item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID="1.2.9")
    ],
    "AdmissionID": "V1",
    "IssuerOfAdmissionIDSequence": [item(**ISSUER)],
    "ServiceEpisodeID": "E1",
    "IssuerOfServiceEpisodeIDSequence": [item(**ISSUER)],
}
"""Identifiers, each with its issuer, and what else the objects of one patient and study repeat."""


@pytest.mark.parametrize("name", FORMATS)
def test_identifiers_are_copied_with_their_issuers(
    name: str, draft: Draft, written: Callable[[str, DraftDocument], Path], dciodvfy: Callable[[Path], list[str]]
) -> None:
    path = written(name, draft(header=IDENTITY))
    dataset = dcmread(path)
    assert {keyword: dataset.get(keyword) for keyword in IDENTITY} == IDENTITY
    assert [line for line in dciodvfy(path) if "Error" in line] == []


@pytest.mark.parametrize("name", FORMATS)
def test_comments_history_and_readers_are_not_copied(name: str, draft: Draft) -> None:
    """They do not identify the patient, and a draft was read by nobody."""
    others = {
        "PatientComments": "afraid",
        "EthnicGroup": "x",
        "AdditionalPatientHistory": "Cough.",
        "Allergies": "nuts",
        "NameOfPhysiciansReadingStudy": "Doe^Ann",
    }
    dataset = dcmread(BytesIO(get_format(name).render(draft(header=others))))
    assert not set(others) & set(dataset.dir())


@pytest.mark.filterwarnings("ignore:The value length")
def test_a_sequence_with_a_value_that_does_not_follow_its_vr_is_left_out(draft: Draft) -> None:
    long = [item(LocalNamespaceEntityID="HOSPITAL", UniversalEntityIDType="not a code string")]
    dataset = dcmread(BytesIO(format_dicom_pdf(draft(header={"IssuerOfAccessionNumberSequence": long}))))
    assert "IssuerOfAccessionNumberSequence" not in dataset
    assert dataset.AccessionNumber == "A7"
