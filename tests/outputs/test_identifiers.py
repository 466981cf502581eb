"""Patient ID, its issuer and the accession number are the same in every format, whatever characters they have."""

from __future__ import annotations

import json
import re
import warnings
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hl7apy.parser import parse_message
from PIL import Image as Picture
from pydicom import dcmread

from report_gen import read_study
from report_gen.outputs import DocumentOptions, DraftDocument, get_format
from report_gen.outputs.dicom.valid_values import header_notices
from report_gen.outputs.identity import derive_report_id
from report_gen.records import Report
from tests.dicom_files import write_dicom

DICOM = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")
PATIENT, ISSUER, ACCESSION = "PatientID", "IssuerOfPatientID", "AccessionNumber"
VALUES = [
    ("P1", "P1"),
    (" P1 ", "P1"),  # spaces around a value are not significant: PS3.5 6.2, LO and SH
    ("P  1", "P  1"),
    ("A\\B", "A\\B"),  # two values where the standard allows one
    (" A\\ B ", "A\\ B"),
    ("\\F\\", "\\F\\"),  # looks like an escape sequence of HL7
    ("a|b^c~d&e", "a|b^c~d&e"),
    ("<b>&amp;", "<b>&amp;"),
]
HL7_ESCAPES = {"F": "|", "S": "^", "R": "~", "E": "\\", "T": "&"}
"""HL7 2.5.1 2.7.1."""


def draft_of(report: Report, folder: Path, value: str) -> DraftDocument:
    with warnings.catch_warnings():  # pydicom warns of values that are against the standard
        warnings.simplefilter("ignore")
        write_dicom(folder / "a.dcm", **dict.fromkeys((PATIENT, ISSUER, ACCESSION), value))
        return with_page(DraftDocument(report=report, study=read_study(folder / "a.dcm")))


def with_page(draft: DraftDocument) -> DraftDocument:
    """Replace the page of a draft, which takes a second."""
    vars(draft)["pdf"] = b"%PDF-1.7"
    return draft


def read_dicom(draft: DraftDocument, name: str) -> tuple[str, str]:
    """Return patient ID and accession number of a DICOM object as pydicom reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(BytesIO(get_format(name).render(draft)))
        values = [dataset[keyword].value for keyword in (PATIENT, ACCESSION)]
    patient, accession = (value if isinstance(value, str) else "\\".join(value) for value in values)
    return patient, accession


def read_fhir(draft: DraftDocument) -> tuple[str, str]:
    resources = {
        entry["resource"]["resourceType"]: entry["resource"]
        for entry in json.loads(get_format("fhir").render(draft))["entry"]
    }
    patient, report = resources["Patient"]["identifier"][0], resources["DiagnosticReport"]["identifier"][1]
    return patient["value"], report["value"]


def read_hl7(draft: DraftDocument) -> tuple[str, str]:
    """Return patient ID and accession number of a message as hl7apy splits it and the standard unescapes it."""
    message = parse_message(get_format("hl7").render(draft).decode(), find_groups=False)
    patient, accession = message.pid.pid_3.cx_1.to_er7(), message.obr.obr_18.to_er7()
    return unescape(patient), unescape(accession)


def unescape(text: str) -> str:
    return re.sub(r"\\([A-Z])\\", lambda found: HL7_ESCAPES[found[1]], text)


class Texts(HTMLParser):
    """The texts of a page between its tags, as they are written."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_an_identifier_is_the_same_in_every_format(report: Report, tmp_path: Path, value: str, expected: str) -> None:
    draft = draft_of(report, tmp_path, value)
    for name in DICOM:
        assert read_dicom(draft, name) == (expected, expected), name
    assert read_fhir(draft) == (expected, expected)
    assert read_hl7(draft) == (expected, expected)
    texts = Texts(get_format("html").render(draft)).texts
    assert f"ID {expected}" in texts
    assert expected in texts


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_an_identifier_of_a_picture_is_the_same_in_every_format(
    report: Report, tmp_path: Path, value: str, expected: str
) -> None:
    Picture.new("L", (30, 40)).save(tmp_path / "a.png")
    study = read_study(tmp_path / "a.png")
    found: list[Any] = []
    for number in (value, expected):
        options = DocumentOptions(patient_id=number, accession_number=number)
        draft = with_page(DraftDocument(report=report, study=study, options=options))
        assert read_dicom(draft, "dicom-sr") == read_fhir(draft) == read_hl7(draft) == (expected, expected)
        found.append((derive_report_id(draft), draft.source.attributes.StudyInstanceUID))
    assert found[0] == found[1]  # spaces make no other patient


def test_an_identifier_without_a_value_is_unknown(report: Report, tmp_path: Path) -> None:
    draft = draft_of(report, tmp_path, "   ")
    assert read_dicom(draft, "dicom-sr") == ("", "")
    assert read_hl7(draft) == ("", "")
    assert "Patient unknown" in get_format("html").render(draft).decode()


def test_control_characters_remain_in_dicom_only(report: Report, tmp_path: Path) -> None:
    """An archive knows the patient by them; texts of FHIR and HL7 cannot contain them."""
    draft = draft_of(report, tmp_path, "P\x071")
    assert read_dicom(draft, "dicom-sr") == ("P\x071", "P\x071")
    assert read_fhir(draft) == read_hl7(draft) == ("P1", "P1")


def test_what_is_too_long_for_dicom_is_shortened_or_left_out_with_a_notice(report: Report, tmp_path: Path) -> None:
    """PS3.5 6.2: LO has at most 64 characters, SH 16, a component group of PN 64. FHIR and HL7 have no such limits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = "D" * 2000 + "^Jane=" + "I" * 65
        write_dicom(
            tmp_path / "a.dcm", PatientID="7" * 500, AccessionNumber="8" * 100, PatientName=name, StudyID="9" * 17
        )
        draft = with_page(DraftDocument(report=report, study=read_study(tmp_path / "a.dcm")))
        for format_name in DICOM:
            dataset = dcmread(BytesIO(get_format(format_name).render(draft)))
            assert (dataset.PatientID, dataset.AccessionNumber, dataset.StudyID) == ("", "", "")
            assert str(dataset.PatientName) == "D" * 64 + "=" + "I" * 64
        assert read_fhir(draft) == ("7" * 500, "8" * 100)
    notices = header_notices(draft.source.attributes)
    assert [notice.split()[0] for notice in notices] == ["PatientName", "AccessionNumber", "PatientID", "StudyID"]
    assert "PatientID of the study violates the standard and is left out in DICOM objects; correct the value" in notices
    assert not any(digit * 3 in notice for digit in "789" for notice in notices)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Doe^Jane\r\nRoe", "Doe^Jane Roe"),
        ("A^B^C^D^E^F", "A^B^C^D^E"),
        ("Doe  Roe^Jane", "Doe  Roe^Jane"),
        ("M" * 64 + "=" + "N" * 64, "M" * 64 + "=" + "N" * 64),
    ],
)
def test_a_name_of_a_dicom_object_is_valid(report: Report, tmp_path: Path, name: str, expected: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dicom(tmp_path / "a.dcm", PatientName=name)
        draft = DraftDocument(report=report, study=read_study(tmp_path / "a.dcm"))
    assert str(dcmread(BytesIO(get_format("dicom-sr").render(draft))).PatientName) == expected
    assert bool(header_notices(draft.source.attributes)) == (name != expected)


def test_a_name_with_a_backslash_is_text(report: Report, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dicom(tmp_path / "a.dcm", PatientName="Doe^Jane\\Roe^Ann", StudyDescription="CHEST\\AP")
        draft = with_page(DraftDocument(report=report, study=read_study(tmp_path / "a.dcm")))
        page, message, bundle = (get_format(name).render(draft).decode() for name in ("html", "hl7", "fhir"))
    for document in (page, message, bundle):
        assert "['" not in document
    assert "Doe^Jane\\E\\Roe^Ann" in message
    assert "CHEST\\AP" in page
