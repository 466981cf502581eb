"""A draft as a JSON document, for programs."""

from __future__ import annotations

import json
from typing import Any

from report_gen.records.findings import FindingState
from report_gen.records.report import BANNER, Attribute, Finding, Provenance, Report, Section, strip_controls

SCHEMA = "report-gen/report/1"
"""Counted up when a key is renamed, removed or changes its meaning; new keys leave it as it is."""


def format_json(report: Report) -> str:
    """One object with the keys schema, banner, notices, sections, findings, attributes and provenance, in this order.

    Confidences and probabilities are 0..1 or null; a finding's state is present, absent, uncertain or unknown. An
    unknown finding has a probability too, where the model was taught it. Of an attribute `value` is what the decoder
    was told, empty for nothing, and `seen` what the image alone looks like; it is `overridden` by a reader, or else
    taken `from_header` where the DICOM header says it.
    """
    document = {
        "schema": SCHEMA,
        "banner": BANNER,
        "notices": [strip_controls(notice) for notice in report.notices],
        "sections": [_section(section) for section in report.sections],
        "findings": [_finding(finding) for finding in report.findings],
        "attributes": [_attribute(attribute) for attribute in report.attributes],
        "provenance": _provenance(report.provenance),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _section(section: Section) -> dict[str, Any]:
    sentences = [{"text": strip_controls(s.text), "confidence": s.confidence} for s in section.sentences]
    return {"name": section.name.value, "text": strip_controls(section.text), "sentences": sentences}


def _finding(finding: Finding) -> dict[str, Any]:
    state = "unknown" if finding.state is FindingState.UNKNOWN else finding.state.value
    return {**vars(finding), "state": state}


def _attribute(attribute: Attribute) -> dict[str, Any]:
    return {**vars(attribute), "value": strip_controls(attribute.value), "seen": strip_controls(attribute.seen)}


def _provenance(provenance: Provenance) -> dict[str, Any]:
    return {
        **vars(provenance),
        "model_name": strip_controls(provenance.model_name),
        "inputs": [vars(file) for file in provenance.inputs],
        "decoding": dict(provenance.decoding),
    }
