"""The optimizer step of a stage is skipped completely if loss or gradient is not finite."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from report_gen_training.engine.trainable_model import TrainableModel
from report_gen_training.recipe.schema import StageRecipe

from tests.builders import tiny_model


class OneProcess:
    """accelerate in one process, as far as a step needs it."""

    num_processes = 1

    def prepare(self, *objects: Any) -> tuple[Any, ...]:
        return objects

    def clip_grad_norm_(self, parameters: Any, norm: float) -> torch.Tensor:
        return torch.nn.utils.clip_grad_norm_(parameters, norm)


def stage() -> StageRecipe:
    values = {"name": "s", "corpora": ("c",), "steps": 9, "rates": {"projector": 1e-2}, "ema_decay": 0.5}
    return StageRecipe.model_validate(values)


def test_the_decay_of_the_average_grows_with_the_steps() -> None:
    """The weights move from 0 to 1 before step 5; the decay is (1 + 5) / (10 + 5)."""
    accelerator: Any = OneProcess()
    model = tiny_model()
    with torch.no_grad():
        for parameter in model.projector.parameters():
            parameter.zero_()
        trainable = TrainableModel(model, stage(), accelerator)
        for parameter in model.projector.parameters():
            parameter.fill_(1.0)
    assert trainable.step(5, apply=True)  # without gradients, so that the weights stay
    average = trainable.ema_state()
    assert average
    for tensor in average.values():
        torch.testing.assert_close(tensor, torch.full_like(tensor, 1 - 6 / 15))


@pytest.mark.parametrize(
    ("gradient", "apply", "applied"), [(0.1, True, True), (0.1, False, False), (float("nan"), True, False)]
)
def test_a_skipped_step_changes_neither_weights_nor_average(gradient: float, apply: bool, applied: bool) -> None:
    accelerator: Any = OneProcess()
    trainable = TrainableModel(tiny_model(), stage(), accelerator)
    trainable.set_rates(0)
    with torch.no_grad():
        for parameter in trainable.module.projector.parameters():
            parameter.add_(0.1)  # so that an update of the average would change it
            parameter.grad = torch.full_like(parameter, gradient) if parameter.requires_grad else None
    before = {name: tensor.clone() for name, tensor in trainable.module.state_dict().items()}
    average = trainable.ema_state()
    assert average is not None
    assert trainable.step(0, apply=apply) is applied
    changed = any(not torch.equal(tensor, before[name]) for name, tensor in trainable.module.state_dict().items())
    moved = any(not torch.equal(tensor, average[name]) for name, tensor in (trainable.ema_state() or {}).items())
    assert (changed, moved) == (applied, applied)
    assert all(parameter.grad is None for parameter in trainable.module.parameters())
