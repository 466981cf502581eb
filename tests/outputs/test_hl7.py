"""The HL7 message, judged by hl7apy and by values written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import given, settings

from report_gen import read_study
from report_gen.errors import StudyError
from report_gen.outputs import DraftDocument
from report_gen.outputs.er7 import escape
from report_gen.outputs.hl7 import format_hl7
from report_gen.records import BANNER, Report, Section, SectionName, Sentence
from tests.dicom_files import write_dicom
from tests.report_strategies import REPORTS, ROUND_TRIPS


def new_draft(report: Report, folder: Path, **attributes: Any) -> DraftDocument:
    write_dicom(folder / "a.dcm", SpecificCharacterSet="ISO_IR 192", **attributes)
    return DraftDocument(report=report, study=read_study(folder / "a.dcm"))


def segments(message: bytes) -> list[list[str]]:
    return [line.split("|") for line in message.decode().split("\r")[:-1]]


def judge(message: bytes, level: int = VALIDATION_LEVEL.STRICT) -> Any:
    """Return the message as hl7apy parses it; it must be valid."""
    parsed = parse_message(message.decode(), validation_level=level, force_validation=True)
    assert parsed.validate()
    return parsed


def test_hl7apy_accepts_the_message_and_finds_its_values(report: Report, tmp_path: Path) -> None:
    draft = new_draft(
        report,
        tmp_path,
        PatientName="Łukasiewicz^Jan^Maria^Dr^Jr",
        PatientID="P7",
        IssuerOfPatientID="HOSP",
        PatientBirthDate="19700312",
        PatientSex="F",
        StudyDate="20260101",
        AccessionNumber="A7",
        ReferringPhysicianName="Doe^Ann",
    )
    parsed = judge(format_hl7(draft))
    assert parsed.msh.msh_9.to_er7() == "ORU^R01^ORU_R01"
    assert (parsed.msh.msh_12.to_er7(), parsed.msh.msh_18.to_er7()) == ("2.5.1", "UNICODE UTF-8")
    result = parsed.oru_r01_patient_result
    patient = result.oru_r01_patient.pid
    assert patient.pid_3.to_er7() == "P7^^^HOSP"
    assert patient.pid_5.to_er7() == "Łukasiewicz^Jan^Maria^Jr^Dr"
    assert (patient.pid_7.to_er7(), patient.pid_8.to_er7()) == ("19700312", "F")
    order = result.oru_r01_order_observation
    assert order.obr.obr_4.to_er7() == "18748-4^Diagnostic imaging report^LN"
    assert (order.obr.obr_18.to_er7(), order.obr.obr_25.to_er7()) == ("A7", "P")
    assert order.obr.obr_16.to_er7() == "^Doe^Ann"
    assert order.obr.obr_22.to_er7() == "20260102030405+0000"
    found = [group.obx for group in order.oru_r01_observation]
    assert {one.obx_11.to_er7() for one in found} == {"P"}
    assert [one.obx_1.to_er7() for one in found] == [str(number) for number in range(1, len(found) + 1)]
    assert (found[0].obx_2.to_er7(), found[0].obx_5.to_er7()) == ("FT", BANNER)


def test_sections_and_findings(report: Report, tmp_path: Path) -> None:
    observations = [one for one in segments(format_hl7(new_draft(report, tmp_path))) if one[0] == "OBX"]
    by_name = {one[3]: one for one in observations}
    assert by_name["59776-5^Findings^LN"][2] == "FT"
    assert by_name["59776-5^Findings^LN"][5] == "Clear [31mlungs.\\.br\\Café sign."
    assert by_name["19005-8^Impressions^LN"][5] == "Normal."
    pneumonia = by_name["233604007^Pneumonia^SCT"]
    assert (pneumonia[4], pneumonia[5], pneumonia[9]) == ("3", "52101004^present^SCT", "0.5")
    assert [one[3] for one in observations if one[4].startswith("3.")] == [
        "^Side", "^Upper zone", "^Mid zone", "^Lower zone"
    ]  # fmt: skip


def test_every_representation_of_a_name_is_a_repetition(report: Report, tmp_path: Path) -> None:
    """The Japanese name of PS3.5 H.3; HL7 2.5.1 2.A.88, table 0465: A, I and P."""
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    draft = new_draft(report, tmp_path, PatientName=name)
    repeated = judge(format_hl7(draft)).oru_r01_patient_result.oru_r01_patient.pid.pid_5
    assert [one.to_er7() for one in repeated] == [
        "Yamada^Tarou^^^^^^A",
        "山田^太郎^^^^^^I",
        "やまだ^たろう^^^^^^P",
    ]
    groups = {one.xpn_8.to_er7(): f"{one.xpn_1.to_er7()}^{one.xpn_2.to_er7()}" for one in repeated}
    assert "=".join(groups[code] for code in "AIP") == name
    draft = new_draft(report, tmp_path, PatientName="=山田^太郎")
    assert judge(format_hl7(draft)).oru_r01_patient_result.oru_r01_patient.pid.pid_5.to_er7() == "山田^太郎"


def test_a_picture_without_header_has_a_valid_message(report: Report, tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", PatientName="", PatientID="", PatientBirthDate="", PatientSex="", StudyDate="")
    judge(format_hl7(DraftDocument(report=report, study=read_study(tmp_path / "a.dcm"))))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("a|b", "a\\F\\b"), ("a^b", "a\\S\\b"), ("a&b", "a\\T\\b"), ("a~b", "a\\R\\b"), ("a\\b", "a\\E\\b")],
)
def test_separators_are_escaped_as_the_standard_says(text: str, escaped: str) -> None:
    """HL7 2.5.1 section 2.7.1."""
    assert escape(text) == escaped


def test_no_text_makes_a_segment_or_a_field(report: Report, tmp_path: Path) -> None:
    text = "a\rOBX|99|FT|^x||b\r\nMSH|^~\\&|c"
    changed = replace(report, sections=(Section(SectionName.FINDINGS, (Sentence(text),)),), notices=(text,))
    names = [one[0] for one in segments(format_hl7(new_draft(changed, tmp_path, PatientID="a|b", AccessionNumber="^")))]
    assert names[:3] == ["MSH", "PID", "OBR"]
    assert set(names[3:]) == {"OBX"}
    assert len(names) == len([one[0] for one in segments(format_hl7(new_draft(report, tmp_path)))]) - 1


@settings(ROUND_TRIPS, max_examples=20)
@given(report=REPORTS)
def test_hl7apy_accepts_any_draft(report: Report, tmp_path: Path) -> None:
    """At the tolerant level, because hl7apy 1.3.5 parses OBX-5 as ST, at most 199 characters, before it reads OBX-2."""
    if not (tmp_path / "a.dcm").exists():
        write_dicom(tmp_path / "a.dcm", PatientID="P^1")
    draft = DraftDocument(report=report, study=read_study(tmp_path / "a.dcm"))
    judge(format_hl7(draft), VALIDATION_LEVEL.TOLERANT)


def test_the_control_id_identifies_the_message(report: Report, tmp_path: Path) -> None:
    draft = new_draft(report, tmp_path)
    first, again = format_hl7(draft), format_hl7(replace(draft))
    other = format_hl7(replace(draft, report=replace(report, notices=())))
    assert first == again
    assert len(segments(first)[0][9]) == 20
    assert segments(first)[0][9] != segments(other)[0][9]


def test_a_revision_has_the_same_filler_number_and_is_preliminary(report: Report, tmp_path: Path) -> None:
    """Tables 0123 and 0085: C corrects a final result. A preliminary one is replaced by another one."""
    draft = new_draft(report, tmp_path)
    (first := tmp_path / "1.hl7").write_bytes(format_hl7(draft))
    message = format_hl7(replace(draft, report=replace(report, notices=("Corrected.",)), revises=first))
    judge(message)
    old, new = segments(first.read_bytes()), segments(message)
    assert new[2][3] == old[2][3]
    assert new[2][25] == "P"
    assert new[0][9] != old[0][9]
    assert new[3] == ["NTE", "1", "", f"This draft replaces the message {old[0][9]}."]


@pytest.mark.parametrize("content", [b"", b"MSH|", b"MSH|^~\\&|other\rOBR|1||2.25.1", b"{}", b"\xff"])
def test_only_a_message_of_report_gen_is_revised(report: Report, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.hl7").write_bytes(content)
    with pytest.raises(StudyError, match=r"x\.hl7: not an HL7 message that report-gen wrote; give an earlier file"):
        format_hl7(replace(new_draft(report, tmp_path), revises=tmp_path / "x.hl7"))


def test_a_message_of_another_study_is_not_revised(report: Report, tmp_path: Path) -> None:
    (tmp_path / "x.hl7").write_bytes(format_hl7(new_draft(report, tmp_path)))
    with pytest.raises(StudyError, match="belongs to another study"):
        format_hl7(replace(new_draft(report, tmp_path, StudyInstanceUID="1.2.3.4"), revises=tmp_path / "x.hl7"))


@pytest.mark.parametrize("status", ["F", "C", "X"])
def test_a_message_that_is_no_draft_any_more_is_not_revised(report: Report, tmp_path: Path, status: str) -> None:
    draft = new_draft(report, tmp_path)
    content = format_hl7(draft)
    assert content.count(b"|RAD|P\r") == 1
    (tmp_path / "x.hl7").write_bytes(content.replace(b"|RAD|P\r", f"|RAD|{status}\r".encode()))
    with pytest.raises(StudyError, match=r"is final or withdrawn \(OBR-25\), so no draft replaces it"):
        format_hl7(replace(draft, revises=tmp_path / "x.hl7"))


def test_two_revisions_of_one_message_are_two_messages_about_one_report(report: Report, tmp_path: Path) -> None:
    draft = new_draft(report, tmp_path)
    (first := tmp_path / "1.hl7").write_bytes(format_hl7(draft))
    revised = [replace(draft, report=replace(report, notices=(one,)), revises=first) for one in ("One.", "Two.")]
    found = [segments(content) for content in (first.read_bytes(), *map(format_hl7, revised))]
    assert len({message[2][3] for message in found}) == 1
    assert len({message[0][9] for message in found}) == 3
