"""The findings of a draft as DICOM SR of TID 1500, read by highdicom."""

from __future__ import annotations

from io import BytesIO

from highdicom.sr import Comprehensive3DSR, MeasurementsAndQualitativeEvaluations
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes

from report_gen.labeling import chest_xray
from report_gen.outputs.codes import finding_code
from report_gen.outputs.dicom import format_dicom_sr_findings
from report_gen.records import BANNER, Finding, FindingLocation, FindingState, Side, Zone
from tests.outputs.dicom.conftest import Draft


def groups(content: bytes) -> dict[str, MeasurementsAndQualitativeEvaluations]:
    report = Comprehensive3DSR.from_dataset(dcmread(BytesIO(content)))
    return {group.tracking_identifier: group for group in report.content.get_image_measurement_groups()}


def comments(content: bytes) -> list[str]:
    items = [item for item in dcmread(BytesIO(content)).ContentSequence if item.RelationshipType == "CONTAINS"]
    return [item.TextValue for item in items if item.ValueType == "TEXT"]


def sites(group: MeasurementsAndQualitativeEvaluations) -> list[tuple[str, str | None, str | None]]:
    return [
        (
            site.value.meaning,
            site.laterality.meaning if site.laterality else None,
            site.topographical_modifier.meaning if site.topographical_modifier else None,
        )
        for site in group.finding_sites
    ]


def test_each_finding_has_state_probability_site_algorithm_and_image(draft: Draft) -> None:
    document = draft()
    found = groups(format_dicom_sr_findings(document))
    assert set(found) == {"Edema", "Fracture", "Pneumonia"}
    pneumonia = found["Pneumonia"]
    assert pneumonia.finding_type.value == "233604007"
    (probability,) = pneumonia.get_measurements(codes.DCM.Probability)
    assert (probability.value, probability.unit) == (0.5, codes.UCUM.NoUnits)
    assert [one.value for one in pneumonia.get_qualitative_evaluations()] == [codes.SCT.Present]
    assert sites(pneumonia) == [("Middle zone of lung", "Left", None), ("Lower zone of lung", "Left", None)]
    (image,) = pneumonia.source_images
    assert image.referenced_sop_instance_uid == document.study.images[0].sop_instance_uid
    texts = {item.name.meaning: item.value for item in pneumonia[0].ContentSequence if item.value_type.value == "TEXT"}
    assert texts["Algorithm Name"] == "tiny"
    assert texts["Algorithm Version"] == f"0.1.0, weights {'0123456789abcdef' * 4}"
    assert texts["Comment"] == "state set by the user; location set by the user."
    assert [one.value for one in found["Edema"].get_qualitative_evaluations()] == [codes.SCT.Absent]
    assert [one.value for one in found["Fracture"].get_qualitative_evaluations()] == [codes.SCT.Undetermined]
    assert found["Fracture"].get_measurements() == []


def test_the_report_begins_with_the_draft_sentence_and_says_why_there_are_no_coordinates(draft: Draft) -> None:
    first, notice, coordinates = comments(format_dicom_sr_findings(draft()))
    assert (first, notice) == (BANNER, "Lateral view only.")
    assert coordinates.startswith("No coordinates")


def test_a_finding_of_another_organ_has_the_zone_as_its_height(draft: Draft) -> None:
    location = FindingLocation(Side.BOTH, frozenset({Zone.UPPER}))
    uncertain = Finding(name="Fracture", state=FindingState.UNCERTAIN, location=location)
    (group,) = groups(format_dicom_sr_findings(draft(findings=(uncertain,)))).values()
    assert sites(group) == [("Thorax", "Bilateral", "Upper zone of lung")]


def test_a_finding_without_a_code_has_its_name_as_tracking_identifier_only(draft: Draft) -> None:
    """TID 1501 encodes Finding as a CODE, and no extension may encode it in another way (PS3.16 6.2.5)."""
    findings = tuple(Finding(name=name, state=FindingState.PRESENT) for name in chest_xray().findings)
    found = groups(format_dicom_sr_findings(draft(findings=findings)))
    assert list(found) == list(chest_xray().findings)
    for name, group in found.items():
        coded = [item for item in group[0].ContentSequence if item.name == codes.DCM.Finding]
        code = finding_code(name)
        assert [(item.ValueType, item.value.value) for item in coded] == (
            [] if code is None else [("CODE", code.value)]
        )


def test_a_picture_is_not_referred_to(draft: Draft) -> None:
    content = format_dicom_sr_findings(draft("picture"))
    assert all(not group.source_images for group in groups(content).values())
    assert "no DICOM header" in comments(content)[-1]

    def value_types(item: Dataset) -> set[str]:
        return {item.ValueType}.union(*(value_types(child) for child in item.get("ContentSequence", [])))

    assert "IMAGE" not in value_types(dcmread(BytesIO(content)))


def test_a_model_without_findings_has_one_empty_group(draft: Draft) -> None:
    (name,) = groups(format_dicom_sr_findings(draft(findings=())))
    assert name == "The model reports no findings"
