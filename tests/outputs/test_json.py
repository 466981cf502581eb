"""format_json against a model of the document written by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from report_gen.outputs import format_json
from report_gen.records.findings import FindingState
from report_gen.records.report import BANNER, Finding, Report


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SentenceSchema(Strict):
    text: str
    confidence: float | None = Field(ge=0, le=1)


class SectionSchema(Strict):
    name: Literal["FINDINGS", "IMPRESSION"]
    text: str
    sentences: list[SentenceSchema]


class FindingSchema(Strict):
    name: str
    state: Literal["present", "absent", "uncertain", "unknown"]
    probability: float | None = Field(ge=0, le=1)
    overridden: bool


class AttributeSchema(Strict):
    name: Literal["modality", "plane", "body_part"]
    value: str
    probability: float | None = Field(ge=0, le=1)
    seen: str
    from_header: bool
    overridden: bool


class InputSchema(Strict):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    sop_instance_uid: str | None


class ProvenanceSchema(Strict):
    model_name: str
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    program_version: str
    created: str
    study_instance_uid: str | None
    inputs: list[InputSchema]
    decoding: dict[str, str | int | float | bool]


class DocumentSchema(Strict):
    schema_name: Literal["report-gen/report/1"] = Field(alias="schema")
    banner: Literal["DRAFT - not for diagnosis - to be reviewed by a radiologist"]
    notices: list[str]
    sections: list[SectionSchema]
    findings: list[FindingSchema]
    attributes: list[AttributeSchema]
    provenance: ProvenanceSchema


def test_the_document_fits_its_schema(report: Report) -> None:
    document = DocumentSchema.model_validate_json(format_json(report))
    findings, impression = document.sections
    assert document.banner == BANNER
    assert document.notices == ["Lateral view only."]
    assert findings.text == "Clear [31mlungs. Café sign."
    assert [(s.text, s.confidence) for s in findings.sentences] == [("Clear [31mlungs.", 0.75), ("Café sign.", None)]
    assert impression.name == "IMPRESSION"
    assert [(f.name, f.state, f.probability, f.overridden) for f in document.findings] == [
        ("Edema", "absent", 0.125, False),
        ("Fracture", "unknown", None, False),
        ("Pneumonia", "present", 0.5, True),
    ]
    assert [vars(attribute) for attribute in document.attributes] == [
        {
            "name": "plane",
            "value": "axial",
            "probability": 0.25,
            "seen": "coronal",
            "from_header": False,
            "overruled": True,
        }
    ]
    assert document.provenance.inputs[0].sha256 == "ff" * 32
    assert document.provenance.decoding == {"beams": 1}


def test_keys_keep_their_order_and_text_stays_readable(report: Report) -> None:
    text = format_json(report)
    assert list(json.loads(text)) == ["schema", "banner", "notices", "sections", "findings", "attributes", "provenance"]
    assert text == format_json(report)
    assert "Café" in text
    assert text.endswith("}\n")


@pytest.mark.parametrize("state", FindingState)
def test_every_state_has_a_name_in_the_document(report: Report, state: FindingState) -> None:
    text = format_json(replace(report, findings=(Finding(name="Edema", state=state),)))
    DocumentSchema.model_validate_json(text)
