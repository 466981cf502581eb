"""Drafts of models that predict no findings and have no probabilities, as every format states them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from report_gen.imaging import read_study
from report_gen.outputs import DocumentOptions, DraftDocument, format_json, format_text, json_schema
from report_gen.outputs.fhir import format_fhir
from report_gen.outputs.hl7 import format_hl7
from report_gen.outputs.key_image import key_image
from report_gen.outputs.page import format_html
from report_gen.outputs.provenance_lines import describe_decoding, provenance_lines
from report_gen.records import Report, Sentence
from tests.dicom_files import write_dicom
from tests.outputs.test_page import Page

ORIGIN = "read from the text by the labeler; the model predicts none"
HOST, REVISION = "gpu.hospital.example", "89abcdef" * 5


@pytest.fixture
def draft(chat_report: Report, tmp_path: Path) -> DraftDocument:
    return DraftDocument(report=chat_report, study=read_study(write_dicom(tmp_path / "a.dcm")))


def with_agreement(report: Report) -> Report:
    """Return the draft with confidences that are the agreement of samples."""
    sections = tuple(
        replace(section, sentences=tuple(Sentence(one.text, 0.7) for one in section.sentences))
        for section in report.sections
    )
    return replace(report, sections=sections, provenance=replace(report.provenance, confidence="agreement"))


def text_of(draft: DraftDocument) -> str:
    return " ".join(Page(format_html(draft)).text.split())


def test_the_text_ends_with_the_origin_of_the_findings_and_the_model(chat_report: Report) -> None:
    *_, findings, model = format_text(chat_report).splitlines()
    assert findings == f"Coded findings: {ORIGIN}."
    assert model == f"Drafted by medgemma-1.5-4b-it, weights unknown, revision {REVISION}, images sent to {HOST}."


def test_json_has_the_new_keys_only_where_they_say_something(chat_report: Report, report: Report) -> None:
    for one in (chat_report, with_agreement(chat_report), report):
        jsonschema.validate(json.loads(format_json(one)), json_schema(), cls=jsonschema.Draft202012Validator)
    document = json.loads(format_json(with_agreement(chat_report)))
    assert [finding["from_text"] for finding in document["findings"]] == [True] * 3
    origin = document["provenance"]
    assert (origin["weights_sha256"], origin["model_revision"], origin["endpoint"]) == ("", REVISION, HOST)
    assert origin["confidence"] == "agreement"
    assert "confidence" not in json.loads(format_json(chat_report))["provenance"]
    own = json.loads(format_json(report))
    assert not {"model_revision", "endpoint", "confidence"} & set(own["provenance"])
    assert not any("from_text" in finding for finding in own["findings"])


def test_the_page_has_no_empty_columns_and_explains_no_marks(draft: DraftDocument) -> None:
    page, text = Page(format_html(draft)), text_of(draft)
    heads = [one for one in page.all("th") if one.get("scope") == "col"]
    assert len(heads) == 2
    assert "Findings read from the text" in text
    assert text.count(ORIGIN[1:]) == 1  # once for the table, with a capital letter
    assert not [
        word for word in ("Probability", "Threshold", "Location", "onfidence:", "not written by") if word in text
    ]
    assert "No confidence of these sentences is known. Check every sentence." in text
    assert "attention" not in text.lower()
    assert not [one for one in page.all("td") if one.get("class") == "mark"]


def test_the_page_of_an_own_model_keeps_its_columns(draft: DraftDocument, report: Report) -> None:
    page = Page(format_html(replace(draft, report=report)))
    assert len([one for one in page.all("th") if one.get("scope") == "col"]) == 5
    assert "Findings of the image model" in page.text


def test_the_page_says_that_confidence_is_agreement(draft: DraftDocument) -> None:
    text = text_of(replace(draft, report=with_agreement(draft.report)))
    assert "Agreement: how similar the sentence is to the other texts that the model wrote about this study" in text
    assert "It does not measure whether a finding is true" in text
    assert "Word confidence" not in text
    assert "0.70" in text


def test_the_provenance_has_revision_and_host_but_no_digest(chat_report: Report) -> None:
    lines = dict(provenance_lines(chat_report))
    assert lines["Weights, SHA-256"] == "unknown: this computer does not have them"
    assert (lines["Revision"], lines["Images sent to"]) == (REVISION, HOST)
    assert lines["Decoding"] == (
        "Sampling, up to 512 tokens; of 4 candidate texts the one kept that agrees most with the others"
    )


def test_reasoning_that_is_left_out_is_counted() -> None:
    assert describe_decoding({"thinking_characters": 812}) == "812 characters of reasoning left out"


def test_the_key_image_says_that_findings_are_read_from_the_text(
    draft: DraftDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []

    def record(text: str, font: Any, width: float) -> list[str]:
        drawn.append(text)
        return [text]

    monkeypatch.setattr("report_gen.outputs.key_image.wrap_text", record)
    key_image(draft)
    assert drawn[1] == "Present, read from the text: Pneumonia"


def test_hl7_names_the_origin_once_for_readers_and_as_the_method_of_each_finding(draft: DraftDocument) -> None:
    message = format_hl7(draft)
    assert parse_message(message.decode(), validation_level=VALIDATION_LEVEL.STRICT, find_groups=True).validate()
    fields = [segment.split("|") for segment in message.decode().split("\r") if segment.startswith("OBX|")]
    values = {field[3]: field[5] for field in fields if not field[4]}
    assert values["^Origin of the findings"] == ORIGIN
    assert (values["^Model revision"], values["^Images sent to"]) == (REVISION, HOST)
    assert "^Weights SHA-256" not in values
    assert [(field[9], field[17]) for field in fields if field[4]] == [("", f"^{ORIGIN}")] * 3


@pytest.mark.parametrize("version", ["R4B", "R5"])
def test_fhir_derives_the_findings_from_the_sections_and_identifies_the_model_without_digest(
    draft: DraftDocument, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report_gen.outputs.page.format_pdf", lambda _: b"%PDF-1.7")
    options = DocumentOptions(fhir_version=version)
    entries = json.loads(format_fhir(replace(draft, options=options)))["entry"]
    named = {one["resource"].get("code", {}).get("text"): one for one in entries}
    described = [{"reference": named[name]["fullUrl"]} for name in ("FINDINGS", "IMPRESSION")]
    pneumonia = named["Pneumonia"]["resource"]
    assert pneumonia["method"] == {"text": ORIGIN}
    assert pneumonia["derivedFrom"] == described
    assert named["FINDINGS"]["resource"]["derivedFrom"] not in (described, [])
    by_type = {one["resource"]["resourceType"]: one["resource"] for one in entries}
    device = by_type["Device"]
    assert [one["system"] for one in device["identifier"]] == ["urn:ietf:rfc:3986"]
    assert device["version"][1] == {"type": {"text": "revision of the weights"}, "value": REVISION}
    assert device["note"] == [{"text": f"images sent to {HOST}"}]
    shown = by_type["DiagnosticReport"]
    assert f"Coded findings: {ORIGIN}." in shown["text"]["div"]
    assert HOST in shown["text"]["div"]
    assert HOST in base64.b64decode(shown["presentedForm"][0]["data"]).decode()
