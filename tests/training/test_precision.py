"""Arithmetic by wish or by measurement."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from report_gen_training import precision
from report_gen_training.precision import choose_precision

from tests.builders import tiny_recipe

CPU = torch.device("cpu")


@pytest.mark.parametrize(("wish", "choice"), [("fp32", "no"), ("bf16", "bf16")])
def test_a_wish_is_followed(wish: str, choice: str) -> None:
    assert choose_precision(tiny_recipe(Path(), precision=wish), CPU) == choice


@pytest.mark.parametrize(("seconds", "choice"), [(1.0, "no"), (0.7, "no"), (0.6, "bf16")])
def test_short_arithmetic_must_be_much_faster(seconds: float, choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times = {torch.float32: 1.0, torch.bfloat16: seconds}
    monkeypatch.setattr(precision, "_seconds", lambda dtype, _: times[dtype])
    assert choose_precision(tiny_recipe(Path(), precision="auto"), CPU) == choice


def test_a_measurement_is_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_SIDE", 8)
    assert precision._seconds(torch.float32, CPU) > 0
