"""Arithmetic by measurement: short floats must be much faster."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from report_gen_training.precision import is_bf16_faster

CPU = torch.device("cpu")


def step(clock: list[float], seconds: dict[bool, float]) -> Callable[[], torch.Tensor]:
    """A training step that takes its seconds on a clock of its own, by whether bf16 is on."""
    weight = torch.ones(1, requires_grad=True)

    def run() -> torch.Tensor:
        clock[0] += seconds[torch.is_autocast_enabled("cpu")]
        return (weight * 2).sum()

    return run


@pytest.mark.parametrize(("seconds", "faster"), [(2.0, False), (0.9, False), (0.8, True)])
def test_short_floats_must_be_much_faster(seconds: float, faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    assert is_bf16_faster(step(clock, {False: 1.0, True: seconds}), CPU) is faster


def test_a_step_without_a_gradient_is_measured_too() -> None:
    assert is_bf16_faster(lambda: torch.zeros(()), CPU) in (True, False)
