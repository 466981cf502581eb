"""A draft that is written and read again is the same draft, as far as the format holds it."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen import read_report, read_study
from report_gen.errors import StudyError
from report_gen.outputs import DocumentOptions, DraftDocument, get_format
from report_gen.outputs.codes import finding_site
from report_gen.outputs.fhir.terms import PROVENANCE_TITLE
from report_gen.reading.plain_reports import empty_provenance
from report_gen.records import (
    FindingState,
    InputFile,
    Provenance,
    Report,
    split_sentences,
    strip_controls,
)
from tests.dicom_files import write_dicom
from tests.report_strategies import (
    CHAT_REPORTS,
    REPORTS,
    ROUND_TRIPS,
    as_stated,
    as_written,
    without_confidence,
    without_thresholds,
)

RoundTrip = Callable[..., Report]
EMPTY = Report(sections=(), findings=(), notices=(), provenance=empty_provenance())


@pytest.fixture(scope="module")
def round_trip(tmp_path_factory: pytest.TempPathFactory) -> RoundTrip:
    """A function that writes a draft in a format and reads the file."""
    folder = tmp_path_factory.mktemp("reports")
    header = {"PatientID": "P^|~&1", "PatientName": "Łukasiewicz^Jan&^|~=山田^太郎", "StudyDate": "20260102"}
    uids = {"StudyInstanceUID": "1.2.3", "SOPInstanceUID": "1.2.5"}
    image = write_dicom(folder / "image.dcm", SpecificCharacterSet="ISO_IR 192", **header, **uids)
    study = read_study(image)
    source = DraftDocument(report=EMPTY, study=study).source

    def write_and_read(report: Report, format_name: str, path: Path | None = None, **options: Any) -> Report:
        draft = DraftDocument(report=report, study=study, options=DocumentOptions(**options))
        vars(draft)["source"] = source  # read once
        path = path or folder / f"a{get_format(format_name).suffix}"
        path.write_bytes(get_format(format_name).render(draft))
        return read_report(path)

    return write_and_read


@ROUND_TRIPS
@given(report=REPORTS)
def test_json_keeps_everything(round_trip: RoundTrip, report: Report) -> None:
    assert round_trip(report, "json") == as_written(report)


@ROUND_TRIPS
@given(report=REPORTS, version=st.sampled_from(("R4B", "R5")))
def test_fhir_keeps_everything(round_trip: RoundTrip, report: Report, version: str) -> None:
    assert round_trip(report, "fhir", fhir_version=version) == as_written(report)


@ROUND_TRIPS
@given(report=REPORTS)
def test_hl7_keeps_sections_findings_notices_and_the_model(round_trip: RoundTrip, report: Report) -> None:
    found, expected = round_trip(report, "hl7"), as_written(report)
    assert found.sections == tuple(map(without_confidence, expected.sections))
    assert found.findings == tuple(map(without_thresholds, expected.findings))
    assert found.notices == expected.notices
    assert found.provenance == replace(
        expected.provenance,
        inputs=(),
        decoding={},
        preprocessing=(),
        comparison=None,
        confidence="token probability",  # sentences have none
    )


@ROUND_TRIPS
@given(report=REPORTS)
def test_text_keeps_sections_notices_the_model_and_what_the_user_set(round_trip: RoundTrip, report: Report) -> None:
    found, expected = round_trip(report, "txt"), as_written(report)
    assert [(section.name, section.text) for section in found.sections] == [
        (section.name, strip_controls(section.text)) for section in expected.sections
    ]
    assert all(section.sentences == split_sentences(section.text) for section in found.sections)
    assert found.notices == expected.notices
    assert found.findings == tuple(
        as_stated(replace(finding, probability=None), decimals=2)
        for finding in report.findings
        if finding.overridden or finding.location_overridden
    )
    origin = expected.provenance
    assert found.provenance == replace(
        empty_provenance(),
        model_name=origin.model_name,
        weights_sha256=origin.weights_sha256[:12],
        model_revision=origin.model_revision,
        endpoint=origin.endpoint,
    )


@ROUND_TRIPS
@given(report=REPORTS, basic=st.booleans())
def test_dicom_sr_keeps_sections_stated_findings_notices_and_origin(
    round_trip: RoundTrip, report: Report, basic: bool
) -> None:
    found, expected = round_trip(report, "dicom-sr", basic_text_sr=basic), as_written(report)
    assert found.sections == tuple(map(without_confidence, expected.sections))
    decimals = 2 if basic else 4
    assert found.findings == tuple(
        as_stated(finding, decimals=decimals)
        for state in (FindingState.PRESENT, FindingState.UNCERTAIN, FindingState.ABSENT)
        for finding in report.findings
        if finding.state is state
    )
    assert found.notices == expected.notices
    assert found.provenance == of_dicom(expected.provenance)


@ROUND_TRIPS
@given(report=REPORTS)
def test_dicom_sr_findings_keeps_findings_notices_and_origin(round_trip: RoundTrip, report: Report) -> None:
    found, expected = round_trip(report, "dicom-sr-findings"), as_written(report)
    assert found.sections == ()
    assert found.findings == tuple(
        as_stated(finding, decimals=4, has_site=finding_site(finding.name) is not None) for finding in report.findings
    )
    assert found.notices == expected.notices
    assert found.provenance == of_dicom(expected.provenance)


@pytest.mark.parametrize("name", ["x, weights 012345.", "x, weights unknown, revision y, images sent to z.", "a", ""])
@pytest.mark.parametrize(("revision", "endpoint"), [("", ""), ("main", ""), ("", "z.example."), ("y", "[::7]:80")])
def test_no_name_of_a_model_is_taken_for_its_origin(
    round_trip: RoundTrip, report: Report, name: str, revision: str, endpoint: str
) -> None:
    origin = replace(report.provenance, model_name=name, weights_sha256="", model_revision=revision, endpoint=endpoint)
    for format_name in ("txt", "dicom-sr", "hl7"):
        found = round_trip(replace(report, provenance=origin), format_name).provenance
        assert (found.model_name, found.weights_sha256) == (name, "")
        assert (found.model_revision, found.endpoint) == (revision, endpoint)


@ROUND_TRIPS
@given(report=CHAT_REPORTS)
def test_reading_keeps_that_findings_come_from_the_text(round_trip: RoundTrip, report: Report) -> None:
    for format_name in ("json", "hl7", "dicom-sr-findings"):
        assert [one.from_text for one in round_trip(report, format_name).findings] == [True] * len(report.findings)
    assert round_trip(report, "json").provenance.confidence == report.provenance.confidence


def of_dicom(provenance: Provenance) -> Provenance:
    """Return what DICOM SR keeps of the origin of a draft; study and image are those of the header."""
    image = InputFile(sha256="", sop_instance_uid="1.2.5")
    kept = replace(provenance, study_instance_uid="1.2.3", inputs=(image,))
    return replace(kept, decoding={}, preprocessing=(), comparison=None, confidence="token probability")


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_withdrawn_resources_of_a_bundle_are_not_read(
    tmp_path: Path, round_trip: RoundTrip, report: Report, status: str
) -> None:
    original = round_trip(report, "fhir", path=tmp_path / "a.fhir.json")
    bundle = json.loads((tmp_path / "a.fhir.json").read_bytes())

    def read_with(withdrawn: str) -> Report:
        changed = deepcopy(bundle)
        for resource in (entry["resource"] for entry in changed["entry"]):
            title = resource.get("content", [{}])[0].get("attachment", {}).get("title")
            if withdrawn in (resource.get("code", {}).get("text"), title):
                resource["status"] = status
        (tmp_path / "b.fhir.json").write_text(json.dumps(changed))
        return read_report(tmp_path / "b.fhir.json")

    pneumonia = [finding for finding in original.findings if finding.name != "Pneumonia"]
    assert read_with("Pneumonia") == replace(original, findings=tuple(pneumonia))
    assert read_with("FINDINGS") == replace(original, sections=original.sections[1:])
    assert read_with("plane") == replace(original, attributes=())
    assert read_with(PROVENANCE_TITLE) == replace(original, provenance=empty_provenance())
    with pytest.raises(StudyError, match="the report was withdrawn"):
        read_with("Diagnostic imaging report")


@pytest.mark.parametrize("format_name", ["txt", "json", "fhir", "hl7", "dicom-sr", "dicom-sr-findings"])
def test_a_damaged_file_is_read_or_refused(
    tmp_path: Path, round_trip: RoundTrip, report: Report, format_name: str
) -> None:
    """Whatever bytes are changed, there is a report or one error of one line."""
    round_trip(report, format_name, path=tmp_path / "a")
    content = (tmp_path / "a").read_bytes()
    random = Random(7)  # noqa: S311 - the same changes in every run
    junk = (b"", b"\xff", b"{", b"|", b'"', b"9", b"\\", b"\r")
    messages = []
    for _ in range(150):
        start, length = random.randrange(len(content)), random.choice((0, 1, 1, 30))
        (tmp_path / "x").write_bytes(content[:start] + random.choice(junk) + content[start + length :])
        try:
            read_report(tmp_path / "x")
        except StudyError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert not [message for message in messages if "\n" in message]
