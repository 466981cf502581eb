"""Reports of other programs, and files that are damaged or hostile."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
)

from report_gen import read_report
from report_gen.errors import StudyError
from report_gen.outputs import format_json, format_text
from report_gen.records import BANNER, Provenance, Report, parse_report
from tests.dicom_files import STUDY_UID
from tests.sr_files import code, content, document

TEXT = "FINDINGS: The heart is enlarged. No effusion. IMPRESSION: Cardiomegaly."
SECTIONS = parse_report(TEXT)
REPORT = Report(
    sections=SECTIONS,
    findings=(),
    notices=("Blank image.",),
    provenance=Provenance(
        model_name="tiny",
        weights_sha256="0123456789abcdef" * 4,
        program_version="1",
        created="2026-01-01T00:00:00+00:00",
        study_instance_uid="1.2.3",
        inputs=(),
        decoding={},
    ),
)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_format_follows_from_the_content(tmp_path: Path) -> None:
    assert read_report(write(tmp_path / "a.dat", format_json(REPORT))) == REPORT
    assert read_report(str(write(tmp_path / "b", b"\xef\xbb\xbf" + format_text(REPORT).encode()))).sections == SECTIONS


def test_a_text_draft_with_windows_line_ends(tmp_path: Path) -> None:
    found = read_report(write(tmp_path / "a.txt", format_text(REPORT).replace("\n", "\r\n")))
    assert (found.sections, found.notices) == (SECTIONS, ("Blank image.",))


HL7_HEAD = "MSH|^~\\&|RIS|H|||20260101||ORU^R01|1|P|2.3\rPID|1||7\rOBR|1|||X|||||||||||||||||||||F\r"


@pytest.mark.parametrize(
    "lines",
    [
        "OBX|1|TX|X&GDT||The heart is enlarged.\rOBX|2|TX|X&GDT||No effusion.\rOBX|3|TX|X&IMP||Cardiomegaly.\r",
        "OBX|1|FT|59776-5^Findings^LN||The heart is enlarged.\\.br\\No effusion.\rOBX|2|FT|19005-8||Cardiomegaly.\r",
        "OBX|1|TX|X||FINDINGS:\nOBX|2|TX|X||The heart is enlarged. No effusion.~IMPRESSION: Cardiomegaly.\r",
        "OBX|1|ED|X||^PDF^^Base64^JVBE\rOBX|2|FT|X||FINDINGS: The \\H\\heart\\N\\ is enlarged.\\.br\\No effusion."
        "\\.br\\IMPRESSION:\\.br\\Cardiomegaly.\r",
    ],
)
def test_messages_of_other_programs_give_their_text(tmp_path: Path, lines: str) -> None:
    assert read_report(write(tmp_path / "a.hl7", HL7_HEAD + lines)).sections == SECTIONS


def test_a_message_in_a_frame_of_mllp(tmp_path: Path) -> None:
    message = f"\v{HL7_HEAD}OBX|1|TX|X&IMP||A \\T\\ B\\X0D\\.\r\x1c\r"
    assert read_report(write(tmp_path / "a", message)).sections[0].text == "A & B."


@pytest.mark.parametrize(
    "document",
    [
        {"resourceType": "DiagnosticReport", "status": "final", "conclusion": TEXT},
        {
            "resourceType": "Bundle",
            "entry": [
                {"resource": {"resourceType": "Patient"}},
                {"resource": {"resourceType": "DiagnosticReport", "status": "final", "conclusion": TEXT}},
            ],
        },
    ],
)
def test_fhir_of_other_programs_gives_its_conclusion(tmp_path: Path, document: object) -> None:
    assert read_report(write(tmp_path / "a.json", json.dumps(document))).sections == SECTIONS


def tree(findings: str, impression: str) -> tuple[Dataset, ...]:
    return (
        content("TEXT", code("121008", "DCM"), text="Jane Doe", how="HAS OBS CONTEXT"),
        content("CONTAINER", code("59776-5", "LN"), content("TEXT", code("121071", "DCM"), text=findings)),
        content("CONTAINER", code("121072", "DCM"), content("TEXT", code("121073", "DCM"), text=impression)),
    )


@pytest.mark.parametrize("storage", [BasicTextSRStorage, EnhancedSRStorage, ComprehensiveSRStorage])
def test_structured_reports_give_their_text(tmp_path: Path, storage: str) -> None:
    path = document(tmp_path / "a.dcm", *tree("The heart is enlarged. No effusion.", "Cardiomegaly."), kind=storage)
    found = read_report(path)
    assert found.sections == SECTIONS
    assert found.provenance.study_instance_uid == f"{STUDY_UID}.1"


def test_other_dicom_objects_are_refused(tmp_path: Path) -> None:
    path = document(tmp_path / "a.dcm", kind=KeyObjectSelectionDocumentStorage)
    with pytest.raises(
        StudyError, match="an object of the class Key Object Selection Document Storage; give a Basic Text"
    ):
        read_report(path)
    with pytest.raises(StudyError):
        read_report(write(tmp_path / "b.dcm", path.read_bytes()[:200] + b"\xff" * 50))
    with pytest.raises(StudyError, match="ends before its SOP Class UID, or has none; copy or export the report again"):
        read_report(write(tmp_path / "c.dcm", path.read_bytes().partition(b"\x08\x00\x16\x00")[0]))  # 0008,0016
    path = document(tmp_path / "d.dcm", kind="Jane Doe")
    with pytest.raises(StudyError, match="an object of another class; give"):
        read_report(path)


HL7_END = "OBX|9|TX|^Program version||1.0||||||P"
"""Last observation of a message of report-gen."""

DRAFT = json.loads(format_json(REPORT))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "the file is empty; write or export it again"),
        (" \n" * 500, "the file is empty; write or export it again"),
        ("[" * 100_000, "damaged (nested too deeply); write or export the file again"),
        ('{"sections": ' + "[" * 100_000, "damaged (nested too deeply); write or export the file again"),
        ("[]", "not a report (its JSON is a list and no object); give a draft as JSON"),
        ("Normal chest.", "not a report; give a draft as JSON"),
        ("<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><Bundle/>", "not a report; give a draft as JSON"),
        ("%PDF-1.7", "not a report; give a draft as JSON"),
        (b"\x89PNG\r\n", "not a report; give a draft as JSON"),
        (BANNER, "does not begin with the banner of a draft and end with its model"),
        (format_text(REPORT).replace("FINDINGS", "HISTORY"), "there is text outside of the sections"),
        ("{", "damaged"),
        (
            "{}",
            "its JSON has neither the key schema_version of a draft nor the key resourceType of FHIR); give a draft as",
        ),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        (json.dumps(DRAFT | {"schema_version": 2}), "its schema_version is 2, and this program reads 3"),
        (json.dumps(DRAFT | {"sections": 5}), "sections: Input should be a valid list"),
        (json.dumps(DRAFT | {"sections": [{"name": "X", "sentences": []}]}), "sections.0.name"),
        (format_json(REPORT).replace('"confidence": null', '"confidence": 2', 1), "confidence: Input should be less"),
        (format_json(REPORT).replace('"confidence": null', '"confidence": NaN', 1), "confidence"),
        ('{"resourceType": "Bundle"}', "0 resources of the type DiagnosticReport"),
        ('{"resourceType": "Bundle", "entry": [{}]}', "entry.0.resource: Field required"),
        ('{"resourceType": "DiagnosticReport"}', "status: Field required"),
        ('{"resourceType": "DiagnosticReport", "status": "bogus"}', "has the status 'bogus'"),
        ("MSH", "does not begin with an MSH segment"),
        ("MSH|^~\\&|a||||||ADT^A01", "the message has the type 'ADT' and 0 reports"),
        (HL7_HEAD + "OBR|2\r", "the type 'ORU' and 2 reports"),
        (b"MSH|^~\\&|\xff", "damaged"),
        (HL7_HEAD.replace("|RIS|", "|report-gen|"), "the message ends before its last observation"),
        (HL7_HEAD.replace("|RIS|", "|report-gen|") + HL7_END, "OBR-22 is not a time"),
    ],
)
def test_other_and_damaged_files_have_one_clear_error(tmp_path: Path, content: str | bytes, reason: str) -> None:
    path = write(tmp_path / "x", content)
    with pytest.raises(StudyError) as raised:
        read_report(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":' * 200_000,
        b'{"sections":' + b"[" * 2_000_000,
        b'{"a": ' + b"1" * 10_000_000 + b"}",
        HL7_HEAD.encode() + b"OBX|\r" * 200_000,
        HL7_HEAD.replace("|RIS|", "|report-gen|").encode() + b"\\" * 2_000_000,
        BANNER.encode() + b"\n" * 2_000_000,
    ],
    ids=["deep object", "deep list", "long number", "many segments", "many escapes", "many lines"],
)
def test_hostile_files_are_refused_in_bounded_time(tmp_path: Path, content: bytes) -> None:
    started = time.process_time()
    with pytest.raises(StudyError):
        read_report(write(tmp_path / "x", content))
    assert time.process_time() - started < 10


def test_large_and_irregular_files_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(2**25 + 1)
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("large.json", "larger than 32 MiB, so it is not a report"),
        ("pipe", "not a regular file"),
        ("", "not a regular file"),
        ("missing", "there is no such file"),
    ):
        with pytest.raises(StudyError, match=reason):
            read_report(tmp_path / name)


def test_an_unknown_key_of_a_later_program_is_ignored(tmp_path: Path) -> None:
    assert read_report(write(tmp_path / "a.json", json.dumps(DRAFT | {"new": {"a": 1}}))) == REPORT


def test_a_report_without_sections(tmp_path: Path) -> None:
    empty = replace(REPORT, sections=(), notices=())
    assert read_report(write(tmp_path / "a.json", format_json(empty))) == empty
    assert read_report(write(tmp_path / "a.txt", format_text(empty))).sections == ()


@pytest.mark.parametrize("status", ["D", "I", "N", "O", "W", "X"])
def test_values_that_are_no_results_do_not_count(tmp_path: Path, status: str) -> None:
    """HL7 table 0085."""
    lines = f"OBX|1|TX|X&IMP||Right text.||||||F\rOBX|2|TX|X&IMP||Wrong patient.||||||{status}\r"
    (section,) = read_report(write(tmp_path / "a.hl7", HL7_HEAD + lines)).sections
    assert section.text == "Right text."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"resourceType": "DiagnosticReport", "status": "entered-in-error"}', "status entered-in-error"),
        ('{"resourceType": "DiagnosticReport", "status": "cancelled", "conclusion": "IMPRESSION: A."}', "cancelled"),
        (HL7_HEAD.replace("|F\r", "|X\r"), "the report was withdrawn (OBR-25 X)"),
        (HL7_HEAD.replace("OBR|", "ORC|CA\rOBR|"), "the order of the report was canceled (ORC)"),
        (HL7_HEAD.replace("OBR|", "ORC|SC|1|||CA\rOBR|"), "the order of the report was canceled (ORC)"),
    ],
)
def test_a_report_that_was_withdrawn_is_not_read(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(StudyError) as raised:
        read_report(write(tmp_path / "x", content))
    assert reason in str(raised.value)
    assert str(raised.value).endswith("; give the report that replaces it")


@pytest.mark.parametrize(
    ("withdrawn", "found"),
    [
        ((), [("Edema", "left"), ("Pneumonia", "unknown")]),
        (("^Edema|1|",), [("Pneumonia", "unknown")]),
        (("^Side|1.1|",), [("Edema", "unknown"), ("Pneumonia", "unknown")]),
        (("^Pneumonia|2|",), [("Edema", "left")]),
    ],
)
def test_findings_of_a_message_that_were_withdrawn_are_not_read(
    tmp_path: Path, withdrawn: tuple[str, ...], found: list[tuple[str, str]]
) -> None:
    """The side of a withdrawn finding must not become a finding."""
    head = HL7_HEAD.replace("|RIS|", "|report-gen|").replace("|||F\r", "20260101000000+0000|||P\r")
    lines = [
        "OBX|1|CE|^Edema|1|^present||||||P",
        "OBX|2|CE|^Side|1.1|^left||||||P",
        "OBX|3|CE|^Pneumonia|2|^absent||||||P",
        HL7_END,
    ]
    lines = [line[:-1] + "W" if any(part in line for part in withdrawn) else line for line in lines]
    findings = read_report(write(tmp_path / "a.hl7", head + "\r".join(lines))).findings
    assert [(finding.name, finding.location.side) for finding in findings] == found


def test_the_comparison_of_a_report_of_another_program(tmp_path: Path) -> None:
    message = f"{HL7_HEAD}OBX|1|TX|X||COMPARISON: Radiograph of May.\nOBX|2|TX|X||FINDINGS: No effusion.\r"
    found = read_report(write(tmp_path / "a.hl7", message)).sections
    assert [(section.name.value, section.text) for section in found] == [
        ("COMPARISON", "Radiograph of May."),
        ("FINDINGS", "No effusion."),
    ]
