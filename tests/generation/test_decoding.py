"""Decoding options: range checks and what the provenance of a draft records."""

from __future__ import annotations

from typing import Any

import pytest

from report_gen.errors import UsageError
from report_gen.generation import Decoding


@pytest.mark.parametrize(
    "options",
    [
        {"method": "guess"},
        {"max_tokens": 0},
        {"beams": 0},
        {"candidates": 0},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=rf"{next(iter(options))} |decoding method"):
        Decoding(**options)


@pytest.mark.parametrize(
    ("decoding", "expected"),
    [
        (Decoding(), {"method", "max_tokens", "candidates"}),
        (Decoding(method="beam"), {"method", "max_tokens", "candidates", "beams"}),
        (Decoding(method="sample"), {"method", "max_tokens", "candidates", "temperature", "top_p", "seed"}),
        (Decoding(candidates=4), {"method", "max_tokens", "candidates", "temperature", "top_p", "seed"}),
    ],
)
def test_provenance_records_the_options_that_influence_the_text(decoding: Decoding, expected: set[str]) -> None:
    assert decoding.options().keys() == expected | {"remove_unsupported"}
