"""Side and zones are stated of present and uncertain findings only, and a normal study is no ordinary finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO

from report_gen import read_study
from report_gen.outputs import DraftDocument, get_format
from report_gen.outputs.key_image import outline_findings
from report_gen.outputs.present_findings import present_findings
from report_gen.records import Box, Finding, FindingLocation, FindingState, Heatmap, Report, Side, Zone
from tests.dicom_files import write_dicom

Render = Callable[..., bytes]
NORMAL = Finding(name="No Finding", state=FindingState.PRESENT, probability=0.75, means_normal=True)


def located(state: FindingState, *, means_normal: bool = False) -> Finding:
    return Finding(
        name="No Finding" if means_normal else "Pneumonia",
        state=state,
        probability=0.5,
        means_normal=means_normal,
        location=FindingLocation(Side.LEFT, frozenset({Zone.LOWER})),
        location_overridden=True,
        side_probability=0.75,
        zone_probabilities=(0.25, 0.5, 0.875),
    )


@pytest.fixture
def render(tmp_path: Path, report: Report) -> Render:
    """A function that writes a draft with these findings in a format."""
    study = read_study(write_dicom(tmp_path / "a.dcm", StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.5"))

    def write(name: str, *findings: Finding) -> bytes:
        return get_format(name).render(DraftDocument(report=replace(report, findings=findings), study=study))

    return write


def places(name: str, content: bytes) -> list[str]:
    """Return where a document says that its only finding is, by its own fields."""
    if name == "json":
        finding = json.loads(content)["findings"][0]
        parts = [finding["location"]["side"].removeprefix("unknown"), *finding["location"]["zones"]]
        parts += [key for key in ("side_probability", "zone_probabilities") if finding[key] is not None]
        return [part for part in (*parts, *(["set"] if finding["location_overridden"] else [])) if part]
    if name == "fhir":
        resources = [entry["resource"] for entry in json.loads(content)["entry"]]
        names = ("Pneumonia", "No Finding (normal study)")
        (finding,) = [one for one in resources if one.get("code", {}).get("text") in names]
        parts = [one["code"]["text"] for one in finding.get("component", ())]
        return [part for part in parts if part != "means a normal study"]
    if name == "hl7":
        return [line.split("|")[3] for line in content.decode().split("\r") if "|1." in line and line[:3] == "OBX"]
    return sites(dcmread(DicomBytesIO(content)))


def sites(item: Dataset) -> list[str]:
    """Return the finding sites (363698007, SCT) of a structured report."""
    found = [] if "ConceptNameCodeSequence" not in item else [item.ConceptNameCodeSequence[0].CodeValue]
    found = [item.ConceptCodeSequence[0].CodeMeaning for code in found if code == "363698007"]
    return found + [site for child in item.get("ContentSequence", ()) for site in sites(child)]


@pytest.mark.parametrize("name", ["json", "fhir", "hl7", "dicom-sr-findings"])
def test_only_present_and_uncertain_findings_are_somewhere(render: Render, name: str) -> None:
    for state in FindingState:
        found = places(name, render(name, located(state)))
        assert bool(found) == (state in (FindingState.PRESENT, FindingState.UNCERTAIN)), (state, found)
    assert places(name, render(name, located(FindingState.PRESENT, means_normal=True))) == []


@pytest.mark.parametrize("name", ["html", "fhir", "hl7", "dicom-sr", "dicom-sr-findings"])
def test_documents_say_that_no_finding_means_a_normal_study(render: Render, name: str) -> None:
    assert b"No Finding (normal study)" in render(name, NORMAL)


def test_a_normal_study_is_not_among_the_present_findings(report: Report) -> None:
    normal = replace(report, findings=(NORMAL, replace(NORMAL, name="Edema", means_normal=False)))
    assert [finding.name for finding in present_findings(normal)] == ["Edema"]
    weights = {"No Finding": np.eye(4, dtype=np.float32) / np.float32(4)}
    attention = Heatmap(
        image=np.zeros((64, 64), np.float32), square=(0, 0, 64), part=Box(0, 0, 64, 64), weights=weights
    )
    drawn = outline_findings(replace(report, findings=(NORMAL,)), attention, size=(64, 64))
    assert (drawn.outlined, drawn.others) == ((), ())
