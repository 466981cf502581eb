"""A draft as a picture: what is drawn, and what stands beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from report_gen.labeling.schema_files import chest_xray
from report_gen.outputs import overlay
from report_gen.outputs.text import format_text
from report_gen.records.findings import FindingState
from report_gen.records.heatmap import Heatmap
from report_gen.records.report import Finding, Report

FINDINGS = chest_xray().findings


def test_findings_called_present_are_drawn_the_likeliest_first(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {name: np.full((2, 2), number, dtype=np.float32) for number, name in enumerate(FINDINGS)}
    seen: dict[str, Any] = {}

    def draw(image: Any, attention: Any, **told: Any) -> bytes:
        seen.update(attention=attention, **told)
        return b"png"

    monkeypatch.setattr(overlay, "attention_picture", draw)
    states = (("No Finding", 0.9), ("Edema", 0.2), ("Fracture", None), ("Pneumonia", 0.5))
    findings = tuple(
        Finding(name=name, state=FindingState.PRESENT, probability=probability, overridden=probability is None)
        for name, probability in states
    )
    report = replace(report, findings=(*findings, Finding(name="Cardiomegaly", state=FindingState.UNCERTAIN)))
    attention = Heatmap(image=np.zeros((2, 3), dtype=np.float32), square=(0.0, -0.5, 3.0), weights=weights)
    assert overlay.format_overlay(report, attention) == b"png"
    assert list(seen["attention"]) == ["Pneumonia 0.50", "Edema 0.20", "Fracture, overruled"]
    assert seen["attention"]["Edema 0.20"] is weights["Edema"]
    assert seen["square"] == (0.0, -0.5, 3.0)
    assert seen["text"] == format_text(report)
