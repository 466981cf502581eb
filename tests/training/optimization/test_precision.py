"""Arithmetic by measurement."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from report_gen_training.optimization import precision
from report_gen_training.optimization.precision import is_bf16_faster, measure_precision

from tests.builders import tiny_model, tiny_recipe

CPU = torch.device("cpu")


@pytest.mark.parametrize(("seconds", "faster"), [(1.0, False), (0.9, False), (0.7, True)])
def test_short_arithmetic_must_be_worth_its_inexactness(
    seconds: float, faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda _step, _device, *, bf16: seconds if bf16 else 1.0)
    assert is_bf16_faster(lambda: torch.zeros(()), CPU) is faster


def test_both_arithmetics_are_tried_twice_forward_and_backward() -> None:
    weight, dtypes = torch.ones(4, 4, requires_grad=True), []

    def step() -> torch.Tensor:
        product = weight @ weight
        dtypes.append(product.dtype)
        return product.float().sum()

    is_bf16_faster(step, CPU)
    assert dtypes == [torch.float32] * 2 + [torch.bfloat16] * 2
    assert weight.grad is not None


def test_a_frozen_encoder_is_frozen_in_the_trial_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else its backward pass, which no step of the stage has, decides, and takes the memory of its activations."""
    model = tiny_model()
    stage = tiny_recipe(Path(), stage={"rates": {"projector": 1e-3}}).stages[0]
    asked: list[set[str]] = []

    def note(_step: object, _device: torch.device) -> bool:
        asked.append({name.split(".")[0] for name, weight in model.named_parameters() if weight.requires_grad})
        return False

    monkeypatch.setattr(precision, "is_bf16_faster", note)
    measure_precision(model, stage, None)  # type: ignore[arg-type]
    assert asked == [{"projector"}]
