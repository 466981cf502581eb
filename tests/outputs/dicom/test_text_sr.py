"""The text report of a draft as DICOM SR."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import BasicTextSRStorage, EnhancedSRStorage

from report_gen.outputs import DocumentOptions
from report_gen.outputs.dicom import format_dicom_sr
from report_gen.outputs.finding_lines import parse_finding
from report_gen.outputs.source_header import derived_uid
from report_gen.records import BANNER, Finding, FindingState, Report, Section, SectionName, Sentence, strip_controls
from tests.outputs.dicom.conftest import HEADER, Draft


def read(content: bytes) -> Dataset:
    dataset = dcmread(BytesIO(content))
    dataset.decode()
    return dataset


def code(item: Dataset, keyword: str = "ConceptNameCodeSequence") -> tuple[str, str]:
    concept = item[keyword].value[0]
    return str(concept.CodingSchemeDesignator), str(concept.CodeValue)


def contained(item: Dataset) -> list[Dataset]:
    return [child for child in item.get("ContentSequence", []) if child.RelationshipType == "CONTAINS"]


def test_the_tree_begins_with_the_draft_sentence_and_then_the_notices(draft: Draft) -> None:
    dataset = read(format_dicom_sr(draft()))
    first, notices, *_ = contained(dataset)
    assert first == dataset.ContentSequence[0]
    assert (first.ValueType, first.TextValue) == ("TEXT", BANNER)
    assert [item.TextValue for item in contained(notices)] == ["Lateral view only."]


def test_each_section_is_a_container_with_a_text_for_each_sentence(draft: Draft, report: Report) -> None:
    containers = {
        code(item): item for item in contained(read(format_dicom_sr(draft()))) if item.ValueType == "CONTAINER"
    }
    for section, heading in zip(report.sections, ("59776-5", "19005-8"), strict=True):
        texts = [child.TextValue for child in contained(containers["LN", heading])]
        assert texts == [strip_controls(sentence.text) for sentence in section.sentences]


def test_the_findings_have_their_probability_as_a_number(draft: Draft) -> None:
    (findings,) = [item for item in contained(read(format_dicom_sr(draft()))) if code(item) == ("DCM", "111064")]
    pneumonia, edema = contained(findings)
    assert pneumonia.TextValue.startswith("Pneumonia: present; left, mid zone, lower zone; probability 0.50")
    assert edema.TextValue == "Edema: absent; probability 0.12."
    (number,) = edema.ContentSequence
    assert (number.RelationshipType, code(number)) == ("HAS PROPERTIES", ("DCM", "122157"))
    assert number.MeasuredValueSequence[0].NumericValue == 0.125


def test_a_line_of_a_finding_is_read_back(draft: Draft, report: Report) -> None:
    (findings,) = [item for item in contained(read(format_dicom_sr(draft()))) if code(item) == ("DCM", "111064")]
    (pneumonia,) = [finding for finding in report.findings if finding.name == "Pneumonia"]
    found = parse_finding(contained(findings)[0].TextValue)
    assert found == Finding(
        name="Pneumonia",
        state=FindingState.PRESENT,
        probability=0.5,
        overridden=True,
        location=pneumonia.location,
        location_overridden=True,
    )
    assert parse_finding("The heart: normal.") is None


def test_the_object_says_that_it_is_a_draft_of_a_device(draft: Draft, report: Report) -> None:
    dataset = read(format_dicom_sr(draft()))
    assert dataset.SOPClassUID == EnhancedSRStorage == dataset.file_meta.MediaStorageSOPClassUID
    assert dataset.CompletionFlag == "PARTIAL"
    assert dataset.VerificationFlag == "UNVERIFIED"
    assert dataset.PreliminaryFlag == "PRELIMINARY"
    context = {code(item): item for item in dataset.ContentSequence if item.RelationshipType == "HAS OBS CONTEXT"}
    device = derived_uid("device", report.provenance.weights_sha256)
    assert device == context["DCM", "121012"].UID
    assert code(context["DCM", "121005"], "ConceptCodeSequence") == ("DCM", "121007")
    (equipment,) = dataset.ContributingEquipmentSequence
    assert equipment.DeviceUID == device
    assert (equipment.ManufacturerModelName, equipment.SoftwareVersions) == ("tiny", "0.1.0")
    assert equipment.DeviceSerialNumber == report.provenance.weights_sha256


def test_patient_and_study_are_those_of_the_source_and_every_image_is_evidence(draft: Draft) -> None:
    document = draft()
    dataset, source = read(format_dicom_sr(document)), dcmread(document.study.images[0].path)
    for keyword in (*HEADER, "PatientID", "StudyInstanceUID"):
        assert dataset[keyword].value == source[keyword].value, keyword
    (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == source.StudyInstanceUID
    (reference,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == source.SOPClassUID


@pytest.mark.parametrize(
    "header",
    [
        {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jürgen"},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        {"SpecificCharacterSet": ["", "ISO 2022 IR 149"], "PatientName": "Hong^Gildong=洪^吉洞=홍^길동"},
        {"PatientName": "^^^^"},
        {"PatientName": ""},
        {"PatientName": None, "PatientID": None, "PatientSex": None, "StudyDate": None, "AccessionNumber": None},
    ],
)
def test_names_of_any_script_are_copied_as_utf_8(draft: Draft, header: dict[str, Any]) -> None:
    dataset = read(format_dicom_sr(draft(header=header)))
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert str(dataset.PatientName) == (header["PatientName"] or "")


def test_a_picture_gets_the_identifiers_of_the_user_and_no_evidence(draft: Draft) -> None:
    dataset = read(format_dicom_sr(draft("picture")))
    assert (dataset.PatientID, dataset.AccessionNumber) == ("P9", "A9")
    assert "CurrentRequestedProcedureEvidenceSequence" not in dataset
    assert "PertinentOtherEvidenceSequence" not in dataset


def test_basic_text_has_the_same_texts_and_no_numbers(draft: Draft) -> None:
    basic = read(format_dicom_sr(draft(options=DocumentOptions(basic_text_sr=True))))
    enhanced = read(format_dicom_sr(draft()))
    assert basic.SOPClassUID == BasicTextSRStorage == basic.file_meta.MediaStorageSOPClassUID

    def walk(item: Dataset) -> list[tuple[str, str]]:
        own = [(item.ValueType, item.get("TextValue", ""))]
        return own + [pair for child in item.get("ContentSequence", []) for pair in walk(child)]

    assert [pair for pair in walk(enhanced) if pair[0] != "NUM"] == walk(basic)


def test_a_draft_without_impression_and_findings_has_neither(draft: Draft) -> None:
    sections = (Section(SectionName.FINDINGS, (Sentence("Clear."), Sentence(" \x00"))),)
    containers = [
        item
        for item in contained(read(format_dicom_sr(draft(sections=sections, findings=(), notices=()))))
        if item.ValueType == "CONTAINER"
    ]
    assert [code(item) for item in containers] == [("LN", "59776-5")]
    assert [child.TextValue for child in contained(containers[0])] == ["Clear."]


def test_a_value_that_is_none_of_its_vr_is_left_out(draft: Draft) -> None:
    header = {"PatientAge": "62", "PatientWeight": "70.12345678901234", "StudyDate": "today"}
    dataset = read(format_dicom_sr(draft(header=header)))
    assert "PatientAge" not in dataset
    assert dataset.StudyDate == ""
    assert "PatientWeight" not in dataset
    assert dataset.PatientSex == "M"


@pytest.mark.parametrize(
    ("keyword", "value", "copied"),
    [
        ("PatientSex", "F", True),
        ("PatientSex", "XXX", False),  # enumerated: M, F, O (PS3.3 C.7.1.1)
        ("QualityControlSubject", "MAYBE", False),
        ("StudyDescription", "Chest PA", True),
        ("StudyDescription", "Chest\r\nPA", False),  # PS3.5 6.1.3: LO has no control characters
        ("StudyDescription", "Chest\0PA", False),
        ("ReferringPhysicianName", "Roe^Jane^^Dr^MD=Roe^Jane", True),
        ("ReferringPhysicianName", "Roe^^^^^^", False),  # PS3.5 6.2.1: five components in a group
        ("ReferringPhysicianName", "Roe=Roe=Roe=Roe", False),  # and three groups
    ],
)
def test_a_value_that_the_standard_does_not_allow_is_left_out(
    draft: Draft, keyword: str, value: str, *, copied: bool
) -> None:
    """`dciodvfy` calls each of the others an error."""
    dataset = read(format_dicom_sr(draft(header={keyword: value})))
    assert str(dataset.get(keyword) or "") == (value if copied else "")
