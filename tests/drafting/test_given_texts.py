"""A draft repeats the indication and the technique that the model was given, in every format."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from report_gen import read_report
from report_gen.drafting import Drafter, DraftRequest
from report_gen.drafting.given_texts import given_sections, unused_notices
from report_gen.generation import Decoding
from report_gen.outputs import DocumentOptions, DraftDocument, get_format
from report_gen.outputs.er7 import parse_message
from report_gen.records import Report, Section, SectionName, Sentence
from tests.builders import study, tiny_checkpoint

COUGH = Section(SectionName.INDICATION, (Sentence("Cough for two weeks."), Sentence("Fever.")))
PORTABLE = Section(SectionName.TECHNIQUE, (Sentence("Portable."),))


def draft(request: DraftRequest) -> Report:
    return Drafter.from_checkpoint(tiny_checkpoint(), device="cpu").draft(request, decoding=Decoding(max_tokens=10))


def test_what_the_model_got_is_repeated_and_not_what_was_given(tmp_path: Path) -> None:
    request = DraftRequest(study(tmp_path), indication="Cough for two weeks. Fever. Pain.", technique="Portable.")
    used = {"indication": "Cough for two weeks. Fever.", "technique": "Portable."}
    assert given_sections(request, used) == (COUGH, PORTABLE)
    assert given_sections(request, used | {"technique": ""}) == (COUGH,)
    assert list(unused_notices(request, used)) == []


def test_a_text_that_the_model_does_not_use_is_repeated_with_a_notice_if_the_user_gave_it(tmp_path: Path) -> None:
    own = replace(study(tmp_path), indication="Of the header.")
    stated = DraftRequest(own, technique=" Portable.\x1b XXXX ")
    assert given_sections(stated, {}) == (PORTABLE,)  # without control characters and de-identification marks
    assert list(unused_notices(stated, {})) == [
        "the model does not use the technique; it had no influence on the draft"
    ]


def test_a_long_text_that_the_model_does_not_use_is_cut_at_a_word_and_the_notice_says_so(tmp_path: Path) -> None:
    request = DraftRequest(study(tmp_path), technique="Portable " * 100)
    assert given_sections(request, {}) == (
        Section(SectionName.TECHNIQUE, (Sentence(" ".join(["Portable"] * 33)),)),  # 33 words of at most 300 characters
    )
    assert list(unused_notices(request, {})) == [
        "the model does not use the technique; it had no influence on the draft, "
        "and the draft repeats only its first 296 characters"
    ]


def test_an_indication_of_the_header_is_named_and_not_repeated(tmp_path: Path) -> None:
    """Drafts as TXT and JSON contain no free text of the header, which may name the patient."""
    found = replace(study(tmp_path), indication="Doe has a cough.")
    report = draft(DraftRequest(found, technique="Portable."))
    named = Section(SectionName.INDICATION, (Sentence("As stated in the header of the study."),))
    assert report.sections[:2] == (named, PORTABLE)
    assert report.indication == ""
    document = DraftDocument(report=report, study=found)
    assert [one for one in ("txt", "json") if b"Doe" in get_format(one).render(document)] == []
    (request,) = (one for one in parse_message(get_format("hl7").render(document)) if one.name == "OBR")
    assert request.raw(31) == ""
    assert draft(DraftRequest(found, indication=COUGH.text)).sections[0] == COUGH


@pytest.mark.parametrize("format_name", ["txt", "json", "dicom-sr", "fhir", "hl7"])
def test_the_indication_is_in_the_document_and_read_back_and_in_no_log(
    format_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = study(tmp_path)
    with caplog.at_level(logging.DEBUG):
        report = draft(DraftRequest(found, indication=COUGH.text, technique="Portable."))
        assert report.sections[:2] == (COUGH, PORTABLE)
        path = tmp_path / f"draft{get_format(format_name).suffix}"
        path.write_bytes(get_format(format_name).render(DraftDocument(report=report, study=found)))
        assert read_report(path).sections[:2] == (COUGH, PORTABLE)
    assert "Cough" not in caplog.text


@pytest.mark.parametrize(("version", "key"), [("R4B", "reasonCode"), ("R5", "reason")])
def test_fhir_and_hl7_state_why_the_study_was_made(version: str, key: str, tmp_path: Path) -> None:
    found = study(tmp_path)
    report = draft(DraftRequest(found, indication=COUGH.text))
    document = DraftDocument(report=report, study=found, options=DocumentOptions(fhir_version=version))  # type: ignore[arg-type]
    resources = [one["resource"] for one in json.loads(get_format("fhir").render(document))["entry"]]
    (imaging,) = (one for one in resources if one["resourceType"] == "ImagingStudy")
    (reason,) = imaging[key]
    assert reason.get("concept", reason) == {"text": COUGH.text}
    (given,) = (one for one in resources if one.get("code", {}).get("text") == "INDICATION")
    assert "security" not in given["meta"]  # no model asserted it
    assert "device" not in given
    (request,) = (one for one in parse_message(get_format("hl7").render(document)) if one.name == "OBR")
    assert request.raw(31) == f"^{COUGH.text}"


def test_a_long_indication_is_shortened_in_the_field_of_a_message_only(tmp_path: Path) -> None:
    long = Section(SectionName.INDICATION, (Sentence("Cough " * 40 + "."),))
    found = study(tmp_path)
    report = draft(DraftRequest(found, indication="Cough."))
    document = DraftDocument(report=replace(report, sections=(long,)), study=found)
    segments = parse_message(get_format("hl7").render(document))
    (request,) = (one for one in segments if one.name == "OBR")
    assert request.component(31, 2) == "Cough " * 32 + "Coug..."
    assert any(one.name == "OBX" and one.component(5) == "Cough " * 40 + "." for one in segments)
