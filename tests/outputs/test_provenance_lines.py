"""The provenance of a draft in the words of its page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from report_gen.generation import DEFAULT_DECODING, Decoding
from report_gen.outputs.provenance_lines import describe_comparison, describe_decoding, provenance_lines
from report_gen.records import ChangeState, InputFile, PriorComparison, Report

MACHINE = {"prompt_tokens": 35, "prompt_shortened": False, "device": "cpu", "dtype": "float32", "threads": 1}


@pytest.mark.parametrize(
    ("decoding", "text"),
    [
        (Decoding(max_tokens=120), "Greedy search, up to 120 tokens"),
        (
            Decoding(method="beam", max_tokens=120, remove_unsupported=True),
            "Beam search with 4 beams, up to 120 tokens; unsupported sentences removed",
        ),
        (
            DEFAULT_DECODING,
            "Beam search with 4 beams, up to 160 tokens; the most consistent of 8 candidate texts kept; sampled with "
            "temperature 0.6, top-p 0.9, seed 0; unsupported sentences removed",
        ),
    ],
)
def test_decoding_is_described_in_words(decoding: Decoding, text: str) -> None:
    assert describe_decoding(decoding.options() | MACHINE) == text
    assert describe_decoding(decoding.options() | MACHINE | {"prompt_shortened": True}) == f"{text}; prompt shortened"


def test_settings_for_programs_are_left_out(report: Report) -> None:
    assert describe_decoding(MACHINE | {"unheard_of": 5}) == ""
    steps = ({"name": "crop_bands", "stroke": 0.01}, {"name": "median", "size": 3})
    provenance = replace(report.provenance, decoding=MACHINE, preprocessing=steps)
    lines = list(provenance_lines(replace(report, provenance=provenance)))
    assert ("Preprocessing", "crop bands, median") in lines
    assert ("Plane", "axial (set by the user)") in lines
    assert "Decoding" not in dict(lines)


@pytest.mark.parametrize(
    ("days", "changes", "text"),
    [
        (12, {"Edema": ChangeState.NEW}, "2 images and its report, 12 days earlier; Edema: new (from the method)"),
        (1, {}, "2 images and its report, 1 day earlier; no change stated (from the method)"),
        (None, {}, "2 images and its report, date unknown; no change stated (from the method)"),
    ],
)
def test_the_prior_study_is_described(days: int | None, changes: dict[str, ChangeState], text: str) -> None:
    inputs = (InputFile(sha256="ee" * 32, sop_instance_uid=None),) * 2
    comparison = PriorComparison(
        study_instance_uid=None, inputs=inputs, days_earlier=days, with_report=True, method="method", changes=changes
    )
    assert describe_comparison(comparison) == text
