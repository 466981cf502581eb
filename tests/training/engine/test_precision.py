"""The choice of precision by measurement."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from report_gen_training.engine import precision
from report_gen_training.engine.precision import is_bf16_emulated, is_bf16_faster, measure_precision

from tests.builders import tiny_model, tiny_recipe

CPU = torch.device("cpu")


@pytest.mark.parametrize(("seconds", "faster"), [(1.0, False), (0.9, False), (0.7, True)])
def test_bf16_must_be_clearly_faster(seconds: float, faster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_seconds", lambda _step, _device, *, bf16: seconds if bf16 else 1.0)
    assert is_bf16_faster(lambda: torch.zeros(()), CPU) is faster


def test_a_step_is_not_tried_in_bf16_where_a_matrix_product_is_much_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor without bf16 instructions the step would take minutes."""
    monkeypatch.setattr(precision, "_seconds", lambda _step, _device, *, bf16: 30.0 if bf16 else 1.0)
    assert is_bf16_emulated(CPU)
    steps: list[bool] = []

    def seconds(step: object, _device: torch.device, *, bf16: bool) -> float:
        steps.append(step is refused)
        return 30.0 if bf16 else 1.0

    def refused() -> torch.Tensor:
        raise AssertionError

    monkeypatch.setattr(precision, "_seconds", seconds)
    assert not is_bf16_faster(refused, CPU)
    assert steps == [False, False]


def test_both_precisions_run_twice_forward_and_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "is_bf16_emulated", lambda _device: False)
    weight, dtypes = torch.ones(4, 4, requires_grad=True), []

    def step() -> torch.Tensor:
        product = weight @ weight
        dtypes.append(product.dtype)
        return product.float().sum()

    is_bf16_faster(step, CPU)
    assert dtypes == [torch.float32] * 2 + [torch.bfloat16] * 2
    assert weight.grad is not None


def test_the_measurement_leaves_the_model_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although training mode updates the batch statistics of an encoder, and the backward pass leaves gradients."""
    model = tiny_model()
    stage = tiny_recipe(Path()).stages[0]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def disturb(_step: object, _device: torch.device) -> bool:
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.add_(1)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        return True

    monkeypatch.setattr(precision, "is_bf16_faster", disturb)
    assert measure_precision(model, stage, None)  # type: ignore[arg-type]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_frozen_encoder_is_frozen_in_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its backward pass, which the steps do not have, would decide, and use memory for its activations."""
    model = tiny_model()
    stage = tiny_recipe(Path(), stage={"rates": {"projector": 1e-3}}).stages[0]
    trained: list[set[str]] = []

    def record(_step: object, _device: torch.device) -> bool:
        trained.append({name.split(".")[0] for name, weight in model.named_parameters() if weight.requires_grad})
        return False

    monkeypatch.setattr(precision, "is_bf16_faster", record)
    measure_precision(model, stage, None)  # type: ignore[arg-type]
    assert trained == [{"projector"}]
