"""Arithmetic by measurement."""

from __future__ import annotations

import pytest
import torch
from report_gen_training import precision
from report_gen_training.precision import is_bf16_faster

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
