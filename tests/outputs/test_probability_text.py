"""Probabilities and thresholds as people read them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from report_gen.outputs.finding_lines import describe_finding, parse_finding
from report_gen.outputs.present_findings import finding_label
from report_gen.outputs.probability_text import probability_text, threshold_text
from report_gen.records import Finding, FindingState

TEXTS = [
    *[(0.0, "< 0.01"), (0.004, "< 0.01"), (0.0099, "< 0.01"), (0.01, "0.01"), (0.314, "0.31")],
    *[(0.99, "0.99"), (0.9901, "> 0.99"), (0.997, "> 0.99"), (1.0, "> 0.99")],
]


@pytest.mark.parametrize(("probability", "text"), TEXTS)
def test_no_probability_is_written_as_certain(probability: float, text: str) -> None:
    finding = Finding(name="Edema", state=FindingState.ABSENT, probability=probability)
    assert probability_text(probability) == text
    assert finding_label(finding) == f"Edema {text}"
    assert describe_finding(finding) == f"Edema: absent; probability {text}."


@pytest.mark.parametrize(("probability", "found"), [(0.004, 0.01), (0.314, 0.31), (0.997, 0.99)])
def test_the_number_of_a_line_is_read_back(probability: float, found: float) -> None:
    line = describe_finding(Finding(name="Edema", state=FindingState.PRESENT, probability=probability))
    assert parse_finding(line) == Finding(name="Edema", state=FindingState.PRESENT, probability=found)


@pytest.mark.parametrize(
    ("threshold", "text"), [(0.61, "0.61"), (0.1, "0.10"), (0.0997, "0.10"), (0.0629, "0.063"), (0.009, "0.009")]
)
def test_small_thresholds_have_three_decimals(threshold: float, text: str) -> None:
    assert threshold_text(threshold) == text


def test_the_threshold_explains_a_low_probability_except_of_what_the_user_set() -> None:
    finding = Finding(name="Pneumothorax", state=FindingState.PRESENT, probability=0.08, present_threshold=0.07)
    assert finding_label(finding) == "Pneumothorax 0.08 (threshold 0.070)"
    assert finding_label(replace(finding, overridden=True)) == "Pneumothorax 0.08, set by the user"
    assert finding_label(replace(finding, probability=None)) == "Pneumothorax"
