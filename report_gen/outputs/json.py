"""Write a draft as a JSON document, described by the JSON Schema in `report.schema.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from report_gen.outputs.draft_terms import STATE_WORDS
from report_gen.records import (
    BANNER,
    Attribute,
    Finding,
    InputFile,
    PriorComparison,
    Provenance,
    Report,
    Section,
    Zone,
    strip_controls,
)

SCHEMA_VERSION = 3
"""Version of the document. It increases when a key is renamed or removed or changes its meaning, not for a new key."""


def format_json(report: Report) -> str:
    """Write a draft as a JSON object with the keys that `json_schema` describes, in a fixed order.

    Control characters are removed from texts. Probabilities and confidences have four decimals:
    further digits change with the number of studies in a batch.

    Args:
        report: Draft.

    Returns:
        Indented JSON with a line end. Characters outside of ASCII are written as they are.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "banner": BANNER,
        "notices": [strip_controls(notice) for notice in report.notices],
        "sections": [_section(section) for section in report.sections],
        "findings": [_finding(finding) for finding in report.findings],
        "attributes": [_attribute(attribute) for attribute in report.attributes],
        "provenance": provenance_document(report.provenance),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the document."""
    text = (resources.files("report_gen.outputs") / "report.schema.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def provenance_document(provenance: Provenance) -> dict[str, Any]:
    """Return the value of the key `provenance` of the document."""
    document: dict[str, Any] = {
        "model_name": strip_controls(provenance.model_name),
        "weights_sha256": provenance.weights_sha256,
        "program_version": provenance.program_version,
        "created": provenance.created,
        "study_instance_uid": provenance.study_instance_uid,
        "inputs": _inputs(provenance.inputs),
        "decoding": dict(provenance.decoding),
    }
    if provenance.preprocessing:  # documents of models without steps stay as they were before there were steps
        document["preprocessing"] = [dict(step) for step in provenance.preprocessing]
    if provenance.comparison is not None:
        document["comparison"] = _comparison(provenance.comparison)
    # Documents of models of report-gen have none of these keys, and stay as they were before other models could draft.
    origin = {"model_revision": provenance.model_revision, "endpoint": provenance.endpoint}
    document |= {key: strip_controls(text) for key, text in origin.items() if text}
    if provenance.confidence != "token probability":
        document["confidence"] = provenance.confidence
    return document


def _inputs(files: Sequence[InputFile]) -> list[dict[str, Any]]:
    return [{"sha256": file.sha256, "sop_instance_uid": file.sop_instance_uid} for file in files]


def _comparison(comparison: PriorComparison) -> dict[str, Any]:
    return {
        "study_instance_uid": comparison.study_instance_uid,
        "inputs": _inputs(comparison.inputs),
        "days_earlier": comparison.days_earlier,
        "with_report": comparison.with_report,
        "method": comparison.method,
        "changes": {name: change.value for name, change in comparison.changes.items()},
        "findings": {name: STATE_WORDS[state] for name, state in comparison.findings.items()},
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name.value,
        "text": strip_controls(section.text),
        "sentences": [
            {"text": strip_controls(sentence.text), "confidence": _rounded(sentence.confidence)}
            for sentence in section.sentences
        ],
    }


def _rounded(probability: float | None) -> float | None:
    """Round to the digits that do not depend on the batch in which a study was drafted."""
    return None if probability is None else round(probability, 4)


def _finding(finding: Finding) -> dict[str, Any]:
    finding = finding.with_stated_location()
    return {
        "name": finding.name,
        "state": STATE_WORDS[finding.state],
        "probability": _rounded(finding.probability),
        "present_threshold": _rounded(finding.present_threshold),
        "uncertain_threshold": _rounded(finding.uncertain_threshold),
        "means_normal": finding.means_normal,
        "overridden": finding.overridden,
        **({"from_text": True} if finding.from_text else {}),
        "location": {
            "side": finding.location.side.value,
            "zones": [zone.value for zone in Zone if zone in finding.location.zones],
        },
        "location_overridden": finding.location_overridden,
        "side_probability": _rounded(finding.side_probability),
        "zone_probabilities": _by_zone(finding.zone_probabilities),
    }


def _by_zone(probabilities: Sequence[float] | None) -> dict[str, float | None] | None:
    if probabilities is None:
        return None
    return {zone.value: _rounded(probability) for zone, probability in zip(Zone, probabilities, strict=True)}


def _attribute(attribute: Attribute) -> dict[str, Any]:
    return {
        "name": attribute.name,
        "value": strip_controls(attribute.value),
        "probability": _rounded(attribute.probability),
        "predicted": strip_controls(attribute.predicted),
        "from_header": attribute.from_header,
        "overridden": attribute.overridden,
    }
