"""The overlay: which findings are drawn, in which order, and the text beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from report_gen.outputs import format_text, overlay
from report_gen.records import Box, Finding, FindingState, Heatmap, Report

ATTENDED = ("Cardiomegaly", "Edema", "Pneumonia", "Fracture")


def test_present_findings_are_drawn_in_the_order_of_their_probability(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {name: np.full((2, 2), number, dtype=np.float32) for number, name in enumerate(ATTENDED)}
    arguments: dict[str, Any] = {}

    def draw(image: Any, attention: Any, **options: Any) -> bytes:
        arguments.update(attention=attention, **options)
        return b"png"

    monkeypatch.setattr(overlay, "draw_attention", draw)
    states = (("No Finding", 0.9), ("Edema", 0.2), ("Fracture", None), ("Pneumonia", 0.5))
    findings = tuple(
        Finding(name=name, state=FindingState.PRESENT, probability=probability, overridden=probability is None)
        for name, probability in states
    )
    report = replace(report, findings=(*findings, Finding(name="Cardiomegaly", state=FindingState.UNCERTAIN)))
    attention = Heatmap(
        image=np.zeros((2, 3), dtype=np.float32), square=(0.0, -0.5, 3.0), part=Box(0, 0, 2, 3), weights=weights
    )
    assert overlay.format_overlay(report, attention) == b"png"
    assert list(arguments["attention"]) == ["Pneumonia 0.50", "Edema 0.20", "Fracture, set by the user"]
    assert arguments["attention"]["Edema 0.20"] is weights["Edema"]
    assert arguments["square"] == (0.0, -0.5, 3.0)
    assert arguments["part"] == Box(0, 0, 2, 3)
    assert arguments["text"] == format_text(report)
