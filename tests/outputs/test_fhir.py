"""The FHIR Bundle, judged by fhir.resources, by the value sets of the standard and by its own references."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from fhir.resources.bundle import Bundle as BundleR5
from fhir.resources.R4B.bundle import Bundle as BundleR4B

from report_gen import read_report, read_study
from report_gen.errors import OutputError, StudyError, UsageError
from report_gen.outputs import DocumentOptions, DraftDocument, format_text
from report_gen.outputs.fhir import format_fhir
from report_gen.outputs.fhir.checking import check_bundle
from report_gen.records import BANNER, Box, Heatmap, Report, Section, SectionName, Sentence
from tests.dicom_files import write_dicom

BUNDLES = {"R4B": BundleR4B, "R5": BundleR5}
AIAST = ("http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "AIAST")


@pytest.fixture(autouse=True)
def page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the page, which takes a second."""
    monkeypatch.setattr("report_gen.outputs.page.format_pdf", lambda _: b"%PDF-1.7")


@pytest.fixture
def draft(report: Report, tmp_path: Path) -> DraftDocument:
    write_dicom(
        tmp_path / "a.dcm",
        SpecificCharacterSet="ISO_IR 192",
        PatientName="Łukasiewicz^Jan^^Dr",
        PatientID="P7",
        PatientBirthDate="19700312",
        PatientSex="F",
        StudyDate="20260101",
        AccessionNumber="A7",
    )
    return DraftDocument(report=report, study=read_study(tmp_path / "a.dcm"), model_card="# tiny\n\nA *card*.")


def in_version(draft: DraftDocument, version: str) -> DraftDocument:
    return replace(draft, options=DocumentOptions(fhir_version=version))  # type: ignore[arg-type]


def resources(content: bytes) -> dict[str, list[Any]]:
    """Return the resources of a Bundle by type."""
    found: dict[str, list[Any]] = {}
    for entry in json.loads(content)["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return found


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["reference"]] if isinstance(value.get("reference"), str) else [])
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


@pytest.mark.parametrize("version", BUNDLES)
def test_the_schema_accepts_the_bundle_and_every_reference_resolves(draft: DraftDocument, version: str) -> None:
    bundle = json.loads(format_fhir(in_version(draft, version)))
    BUNDLES[version].model_validate(bundle)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(urls)) == len(urls)
    assert all(url.startswith("urn:uuid:") for url in urls)
    found = set(references(bundle))
    assert len(found) > 8
    assert found <= set(urls)


@pytest.mark.parametrize("version", BUNDLES)
def test_the_report_says_that_it_is_preliminary_and_made_by_a_model(draft: DraftDocument, version: str) -> None:
    found = resources(format_fhir(in_version(draft, version)))
    (report,) = found["DiagnosticReport"]
    assert report["status"] == "preliminary"
    assert report["conclusion"] == f"{BANNER}\n\nNormal."
    assert report["code"]["coding"][0]["code"] == "18748-4"
    assert "performer" not in report
    assert "resultsInterpreter" not in report
    assert {one["status"] for one in found["Observation"]} == {"preliminary"}
    for one in (report, *found["Observation"]):
        (label,) = one["meta"]["security"]
        assert (label["system"], label["code"]) == AIAST
    (provenance,) = found["Provenance"]
    reasons = [one["concept"] for one in provenance["authorization"]] if version == "R5" else provenance["reason"]
    assert reasons[0]["coding"][0]["code"] == "AIAST"
    assert provenance["agent"][0]["role"][0]["coding"][0]["code"] == "Artificial-Intelligence"
    assert len(provenance["target"]) == 1 + len(found["Observation"])


def test_patient_study_and_model_are_those_of_the_source(draft: DraftDocument) -> None:
    found = resources(format_fhir(draft))
    (patient,), (study,), (device,) = found["Patient"], found["ImagingStudy"], found["Device"]
    assert patient["identifier"][0] == {"value": "P7"}
    assert patient["name"] == [{"given": ["Jan"], "prefix": ["Dr"], "family": "Łukasiewicz"}]
    assert (patient["gender"], patient["birthDate"]) == ("female", "1970-03-12")
    source = draft.source
    assert study["identifier"][0]["value"] == f"urn:oid:{source.attributes.StudyInstanceUID}"
    (series,) = study["series"]
    assert series["uid"] == source.images[0].series_instance_uid
    assert series["instance"][0]["uid"] == source.images[0].sop_instance_uid
    assert study["started"] == "2026-01-01"
    assert device["identifier"][0]["value"] == draft.report.provenance.weights_sha256
    assert device["deviceName"] == [{"name": "tiny", "type": "model-name"}]
    assert found["DiagnosticReport"][0]["identifier"][1]["value"] == "A7"


def test_the_model_card_is_a_document(draft: DraftDocument) -> None:
    cards = [one for one in resources(format_fhir(draft))["DocumentReference"] if "category" in one]
    (card,) = cards
    assert card["type"]["coding"][0]["code"] == "AIModelCard"
    attachment = card["content"][0]["attachment"]
    assert attachment["contentType"] == "text/markdown"
    assert base64.b64decode(attachment["data"]).decode() == draft.model_card


def test_findings_are_observations_with_the_confidence_of_the_model(draft: DraftDocument) -> None:
    by_name = {one["code"]["text"]: one for one in resources(format_fhir(draft))["Observation"]}
    pneumonia = by_name["Pneumonia"]
    assert pneumonia["valueCodeableConcept"]["coding"] == [
        {"system": "http://snomed.info/sct", "code": "52101004", "display": "Present"}
    ]
    (extension,) = pneumonia["extension"]
    assert extension["url"].endswith("/aitransparency/StructureDefinition/AIconfidence")
    assert extension["valueDecimal"] == 0.5
    assert "valueCodeableConcept" not in by_name["Fracture"]
    assert by_name["Fracture"]["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_a_finding_without_a_code_is_text(draft: DraftDocument) -> None:
    finding = replace(draft.report.findings[0], name="Unheard-of sign")
    found = resources(format_fhir(replace(draft, report=replace(draft.report, findings=(finding,)))))
    assert {"text": "Unheard-of sign"} in [one["code"] for one in found["Observation"]]


def test_text_is_never_markup(draft: DraftDocument) -> None:
    hostile = "<script>alert('x')</script> & \"]]>\x0b"
    sections = (Section(SectionName.FINDINGS, (Sentence(hostile),)),)
    report = replace(draft.report, sections=sections, notices=("<img src=x>",))
    (found,) = resources(format_fhir(replace(draft, report=report)))["DiagnosticReport"]
    div = ET.fromstring(found["text"]["div"])  # noqa: S314 - our own output
    assert {one.tag.rpartition("}")[2] for one in div.iter()} == {"div", "p", "b", "br"}
    assert "<script>alert('x')</script> & \"]]>" in "".join(div.itertext())
    assert "".join(div.itertext()).startswith(BANNER)


def test_control_characters_are_removed(draft: DraftDocument) -> None:
    """The type string allows no code point below 32 but TAB, CR and LF (hl7.org/fhir/datatypes.html#string)."""

    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from strings(one)

    texts = list(strings(json.loads(format_fhir(draft))))
    assert "Clear [31mlungs." in texts
    assert not [text for text in texts for character in text if ord(character) < 32 and character not in "\t\r\n"]


def test_the_same_draft_gives_the_same_bundle_at_another_time_the_same_report(draft: DraftDocument) -> None:
    later = replace(
        draft,
        report=replace(draft.report, provenance=replace(draft.report.provenance, created="2027-01-01T00:00:00+00:00")),
    )
    assert format_fhir(draft) == format_fhir(replace(draft))
    first, second = json.loads(format_fhir(draft)), json.loads(format_fhir(later))
    assert [one["fullUrl"] for one in first["entry"]] == [one["fullUrl"] for one in second["entry"]]
    other = replace(draft, report=replace(draft.report, notices=("Other.",)))
    assert json.loads(format_fhir(other))["entry"][0]["fullUrl"] != first["entry"][0]["fullUrl"]


@pytest.mark.parametrize(("version", "status"), [("R4B", "amended"), ("R5", "modified")])
def test_a_revision_is_the_next_version_of_the_same_report(
    draft: DraftDocument, tmp_path: Path, version: str, status: str
) -> None:
    (first := tmp_path / "1.fhir.json").write_bytes(format_fhir(in_version(draft, version)))
    changed = replace(in_version(draft, version), report=replace(draft.report, notices=("Corrected.",)), revises=first)
    (second := tmp_path / "2.fhir.json").write_bytes(format_fhir(changed))
    third = format_fhir(replace(changed, revises=second))
    BUNDLES[version].model_validate_json(third)
    one, two, three = (json.loads(content) for content in (first.read_bytes(), second.read_bytes(), third))
    reports = [bundle["entry"][0]["resource"] for bundle in (one, two, three)]
    assert [report["meta"]["versionId"] for report in reports] == ["1", "2", "3"]
    assert [report["status"] for report in reports] == ["preliminary", status, status]
    assert len({json.dumps(report["identifier"]) for report in reports}) == 1
    assert len({bundle["identifier"]["value"] for bundle in (one, two, three)}) == 3
    (provenance,) = resources(second.read_bytes())["Provenance"]
    (revised,) = [entity for entity in provenance["entity"] if entity["role"] == "revision"]
    assert revised["what"]["identifier"] == one["identifier"]
    assert read_report(second).notices == ("Corrected.",)


def identities(content: bytes) -> tuple[str, set[str]]:
    """Return the identifier of the report, and the identifier of the Bundle with the URLs of its entries."""
    bundle = json.loads(content)
    report = bundle["entry"][0]["resource"]["identifier"][0]["value"]
    return report, {bundle["identifier"]["value"], *(entry["fullUrl"] for entry in bundle["entry"])}


def test_two_revisions_of_one_version_are_two_bundles_of_one_report(draft: DraftDocument, tmp_path: Path) -> None:
    (first := tmp_path / "1.fhir.json").write_bytes(format_fhir(draft))
    revisions = [
        replace(draft, report=replace(draft.report, notices=(notice,)), revises=first)
        for notice in ("Corrected.", "Corrected again.")
    ]
    found = [identities(content) for content in (first.read_bytes(), *map(format_fhir, revisions))]
    assert len({report for report, _ in found}) == 1
    urls = [url for _, of_bundle in found for url in of_bundle]
    assert len(set(urls)) == len(urls)
    assert identities(format_fhir(replace(revisions[0]))) == found[1]
    (second := tmp_path / "2.fhir.json").write_bytes(format_fhir(revisions[0]))
    (other := tmp_path / "3.fhir.json").write_bytes(format_fhir(revisions[1]))
    third, fourth = (replace(revisions[0], revises=path) for path in (second, other))
    assert not identities(format_fhir(third))[1] & identities(format_fhir(fourth))[1]


@pytest.mark.parametrize(
    "change",
    [
        {"options": DocumentOptions(fhir_version="R5")},
        {"options": DocumentOptions(paper="Letter")},
        {"model_card": "# another card"},
        {"attention": Heatmap(image=np.zeros((1, 1), np.float32), square=(0, 0, 1), part=Box(0, 0, 1, 1), weights={})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_bundles_of_other_content_share_nothing_but_the_report(draft: DraftDocument, change: dict[str, Any]) -> None:
    first, second = identities(format_fhir(draft)), identities(format_fhir(replace(draft, **change)))
    assert first[0] == second[0]
    assert not first[1] & second[1]


@pytest.mark.parametrize("status", ["final", "entered-in-error", "cancelled", "corrected"])
def test_a_bundle_that_is_no_draft_any_more_is_not_revised(draft: DraftDocument, tmp_path: Path, status: str) -> None:
    bundle = json.loads(format_fhir(draft))
    bundle["entry"][0]["resource"]["status"] = status
    (tmp_path / "x.json").write_text(json.dumps(bundle))
    with pytest.raises(StudyError, match="is final or withdrawn, so no draft replaces it"):
        format_fhir(replace(draft, revises=tmp_path / "x.json"))


def test_a_bundle_with_another_identifier_is_not_revised(draft: DraftDocument, tmp_path: Path) -> None:
    bundle = json.loads(format_fhir(draft))
    bundle["identifier"]["value"] = "urn:uuid:6f0e6e0c-5d0b-4d54-9a55-6b1a1f4b8a0e"
    (tmp_path / "x.json").write_text(json.dumps(bundle))
    with pytest.raises(StudyError, match="not a FHIR Bundle that report-gen wrote"):
        format_fhir(replace(draft, revises=tmp_path / "x.json"))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"entry": [{"resource": {"resourceType": "Patient"}}]}'])
def test_only_a_bundle_of_report_gen_is_revised(draft: DraftDocument, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(StudyError, match=r"x\.json: not a FHIR Bundle that report-gen wrote; give an earlier file"):
        format_fhir(replace(draft, revises=tmp_path / "x.json"))


def test_a_bundle_of_another_study_is_not_revised(draft: DraftDocument, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(format_fhir(draft))
    write_dicom(tmp_path / "b.dcm", StudyInstanceUID="1.2.3.4.5")
    other = replace(draft, study=read_study(tmp_path / "b.dcm"), revises=tmp_path / "x.json")
    with pytest.raises(StudyError, match="belongs to another study"):
        format_fhir(other)


@pytest.mark.parametrize("kind", ["DiagnosticReport", "Observation", "ImagingStudy", "DocumentReference"])
def test_a_status_that_a_draft_must_not_have_is_refused(draft: DraftDocument, kind: str) -> None:
    for status in ("final", "bogus", None):
        bundle = json.loads(format_fhir(draft))
        next(one for one in bundle["entry"] if one["resource"]["resourceType"] == kind)["resource"]["status"] = status
        with pytest.raises(OutputError, match=r"the FHIR document is not valid"):
            check_bundle(bundle, "R4B")


def test_other_faults_of_a_bundle_are_found(draft: DraftDocument) -> None:
    for change in (
        lambda bundle: bundle["entry"].pop(),  # Provenance is referred to by nothing
        lambda bundle: bundle["entry"][0]["resource"].update(subject={"reference": "Patient/1"}),
        lambda bundle: bundle["entry"].append(bundle["entry"][0]),
        lambda bundle: bundle["entry"][0]["resource"].pop("code"),
    ):
        bundle = json.loads(format_fhir(draft))
        removed = change(bundle)
        if isinstance(removed, dict) and removed.get("resource", {}).get("resourceType") == "Provenance":
            check_bundle(bundle, "R4B")
            continue
        with pytest.raises(OutputError):
            check_bundle(bundle, "R4B")


def test_the_text_and_the_page_are_attached(draft: DraftDocument) -> None:
    (report,) = resources(format_fhir(draft))["DiagnosticReport"]
    text, page = report["presentedForm"]
    assert text["contentType"] == "text/plain; charset=utf-8"
    assert base64.b64decode(text["data"]).decode() == format_text(draft.report)
    assert page["contentType"] == "application/pdf"
    assert base64.b64decode(page["data"]) == b"%PDF-1.7"


def test_without_the_library_of_the_page_there_is_no_bundle(
    draft: DraftDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_library(_: DraftDocument) -> bytes:
        raise UsageError("the format pdf needs the system library Pango")

    monkeypatch.setattr("report_gen.outputs.page.format_pdf", without_library)
    with pytest.raises(UsageError, match="Pango"):
        format_fhir(draft)


def test_a_missing_library_is_named(draft: DraftDocument, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fhir.resources.R4B.bundle", None)
    with pytest.raises(UsageError, match=r"report-gen\[clinical\]"):
        format_fhir(draft)
