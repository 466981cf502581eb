"""The JSON document, against its published JSON Schema and against values written by hand."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from report_gen.outputs import format_json, json_schema
from report_gen.outputs.json import SCHEMA_VERSION
from report_gen.records import BANNER, Attribute, Finding, FindingState, Provenance, Report
from tests.image_steps import step
from tests.report_strategies import REPORTS, ROUND_TRIPS

NOWHERE = {
    "location": {"side": "unknown", "zones": []},
    "location_overridden": False,
    "side_probability": None,
    "zone_probabilities": None,
}
UNDECIDED = {"present_threshold": None, "uncertain_threshold": None, "means_normal": False, "overridden": False}


def validate(document: Any) -> None:
    jsonschema.validate(document, json_schema(), cls=jsonschema.Draft202012Validator)


def test_the_schema_is_valid_and_names_its_version() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:report-gen:report:{SCHEMA_VERSION}"
    assert schema["properties"]["schema_version"] == {"const": SCHEMA_VERSION}


@ROUND_TRIPS
@given(report=REPORTS)
def test_any_draft_follows_the_schema(report: Report) -> None:
    validate(json.loads(format_json(report)))


def test_the_document(report: Report) -> None:
    document = json.loads(format_json(report))
    validate(document)
    assert document["schema_version"] == 3
    assert document["banner"] == BANNER
    assert document["notices"] == ["Lateral view only."]
    findings, impression = document["sections"]
    assert (findings["name"], findings["text"]) == ("FINDINGS", "Clear [31mlungs. Café sign.")
    assert findings["sentences"] == [
        {"text": "Clear [31mlungs.", "confidence": 0.75},
        {"text": "Café sign.", "confidence": None},
    ]
    assert impression["name"] == "IMPRESSION"
    assert document["findings"] == [
        {"name": "Edema", "state": "absent", "probability": 0.125, **UNDECIDED, **NOWHERE},
        {"name": "Fracture", "state": "unknown", "probability": None, **UNDECIDED, **NOWHERE},
        {
            "name": "Pneumonia",
            "state": "present",
            "probability": 0.5,
            "present_threshold": 0.4,
            "uncertain_threshold": 0.3001,
            "means_normal": False,
            "overridden": True,
            "location": {"side": "left", "zones": ["mid", "lower"]},
            "location_overridden": True,
            "side_probability": 0.75,
            "zone_probabilities": {"upper": 0.25, "mid": 0.5, "lower": 0.875},
        },
    ]
    assert document["attributes"] == [
        {
            "name": "plane",
            "value": "axial",
            "probability": 0.25,
            "predicted": "coronal",
            "from_header": False,
            "overridden": True,
        }
    ]
    assert document["provenance"] == {
        "model_name": "tiny",
        "weights_sha256": "0123456789abcdef" * 4,
        "program_version": "0.1.0",
        "created": "2026-01-02T03:04:05Z",
        "study_instance_uid": "1.2.3",
        "inputs": [{"sha256": "ff" * 32, "sop_instance_uid": None}],
        "decoding": {"beams": 1},
    }


def test_preprocessing_steps_are_recorded_in_order_with_their_parameters(report: Report) -> None:
    steps = (step("crop_bands"), step("median", size=5), step("crop_bands"))
    provenance = replace(report.provenance, preprocessing=tuple(one.model_dump() for one in steps))
    document = json.loads(format_json(replace(report, provenance=provenance)))
    validate(document)
    bands = {"name": "crop_bands", "stroke": 0.01, "contrast": 0.2, "tolerance": 0.04, "depth": 0.25}
    assert document["provenance"]["preprocessing"] == [bands, {"name": "median", "size": 5}, bands]


def test_keys_keep_their_order_and_text_stays_readable(report: Report) -> None:
    text = format_json(report)
    assert list(json.loads(text)) == json_schema()["required"]
    assert "Café" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("state", FindingState)
def test_every_state_is_in_the_schema(report: Report, state: FindingState) -> None:
    validate(json.loads(format_json(replace(report, findings=(Finding(name="Edema", state=state),)))))


@pytest.mark.parametrize(
    ("record", "definition"), [(Finding, "finding"), (Attribute, "attribute"), (Provenance, "provenance")]
)
def test_a_new_field_of_a_record_reaches_the_document(record: type, definition: str) -> None:
    assert list(json_schema()["$defs"][definition]["properties"]) == [field.name for field in fields(record)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 1),
        (("banner",), ""),
        (("findings", 0, "probability"), 1.5),
        (("findings", 0, "state"), "not-mentioned"),
        (("findings", 0, "overruled"), False),
        (("attributes", 0, "name"), "view"),
        (("sections", 0, "name"), "HISTORY"),
        (("provenance", "weights_sha256"), "0123"),
        (("provenance", "inputs", 0, "path"), "patient.dcm"),
    ],
)
def test_the_schema_rejects_other_documents(report: Report, path: tuple[Any, ...], value: object) -> None:
    document = json.loads(format_json(report))
    *parents, key = path
    target = document
    for parent in parents:
        target = target[parent]
    target[key] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


def test_probabilities_have_four_decimals(report: Report) -> None:
    finding = Finding(name="Edema", state=FindingState.PRESENT, probability=0.123456789)
    document = json.loads(format_json(replace(report, findings=(finding,))))
    assert document["findings"][0]["probability"] == 0.1235


def test_the_schema_says_that_word_confidence_is_no_truth() -> None:
    confidence = json_schema()["$defs"]["section"]["properties"]["sentences"]["items"]["properties"]["confidence"]
    assert "how sure the decoder was of its choice of words" in confidence["description"]
    assert "does not measure whether a finding is true" in confidence["description"]
