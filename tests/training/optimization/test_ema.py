"""The moving average of the weights: computed by hand, applied and removed, restored after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.optimization.ema import MovingAverage
from report_gen_training.optimization.optimizer import build_optimizer, set_train_mode
from report_gen_training.recipe.schema import StageRecipe
from safetensors.torch import load_file, save_file
from timm.utils import ModelEmaV3
from torch import nn

from report_gen.model import ReportModel
from tests.builders import tiny_config, tiny_model


def stage(**rates: float) -> StageRecipe:
    return StageRecipe.model_validate({"name": "s", "corpora": ("c",), "steps": 9, "rates": rates})


def test_three_updates_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    average = MovingAverage(model, 0.5)
    for step, value in enumerate([2.0, 4.0, 8.0]):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(step)
    first = 1.0 * 0.1 + 2.0 * 0.9  # (1 + 0) / (10 + 0)
    second = first * 2 / 11 + 4.0 * 9 / 11
    third = second * 3 / 12 + 8.0 * 9 / 12
    assert float(average.state()["weight"]) == pytest.approx(third, rel=1e-6)


def test_with_constant_decay_it_equals_timms_average() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    theirs, ours = ModelEmaV3(model, decay=0.9), MovingAverage(model, 0.9)
    for step in range(1000, 1010):
        model(torch.randn(5, 3))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        theirs.update(model)
        ours.update(step)
    expected = theirs.module.state_dict()
    for name, tensor in ours.state().items():
        torch.testing.assert_close(tensor, expected[name], msg=name)
    assert ours.state().keys() == expected.keys() - {"1.num_batches_tracked"}


def test_applying_and_removing_the_average_is_exact() -> None:
    model = tiny_model(tiny_config(encoder="test_resnet"))
    build_optimizer(model, stage(encoder=1e-3, projector=1e-3, decoder=1e-3))
    average = MovingAverage(model, 0.5)
    perturb(model, seed=1)
    average.update(5)
    live, mean = {name: tensor.clone() for name, tensor in model.state_dict().items()}, average.state()
    with average.applied():
        inside = model.state_dict()
        assert all(torch.equal(inside[name], tensor) for name, tensor in mean.items())
        assert not torch.equal(inside["projector.finding_bias"], live["projector.finding_bias"])
        language_model = model.decoder.language_model
        assert language_model.get_input_embeddings().weight is language_model.get_output_embeddings().weight
    assert all(torch.equal(tensor, live[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, mean[name]) for name, tensor in average.state().items())


def test_the_average_is_removed_after_an_error() -> None:
    model = nn.Linear(2, 2)
    average, before = MovingAverage(model, 0.5), model.weight.clone()
    perturb(model, seed=1)
    with pytest.raises(KeyboardInterrupt), average.applied():
        raise KeyboardInterrupt
    assert not torch.equal(model.weight, before)


def test_only_trained_tensors_are_averaged() -> None:
    model = tiny_model()
    build_optimizer(model, stage(projector=1e-3))
    assert {name.split(".")[0] for name in MovingAverage(model, 0.9).state()} == {"projector"}


@pytest.mark.parametrize("stop", [1, 4])
def test_a_restored_average_continues_exactly(stop: int, tmp_path: Path) -> None:
    whole = learn(tiny_model(), 0, 6)
    model = tiny_model()
    broken = learn(model, 0, stop)
    save_file(broken.state(), tmp_path / "ema.safetensors")
    resumed = learn(model, stop, 6, load_file(tmp_path / "ema.safetensors"))
    for name, tensor in whole.state().items():
        assert torch.equal(resumed.state()[name], tensor), name


def test_the_state_of_another_model_is_refused() -> None:
    with pytest.raises(KeyError):
        MovingAverage(nn.Linear(2, 2), 0.9).load({"other": torch.zeros(2, 2)})


def perturb(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def learn(model: ReportModel, start: int, end: int, state: Any = None) -> MovingAverage:
    """Imitate training: every step changes the weights depending on its number."""
    recipe = stage(projector=1e-3, decoder=1e-3)
    build_optimizer(model, recipe)
    set_train_mode(model, recipe.rates)
    average = MovingAverage(model, 0.6)
    if state is not None:
        average.load(state)
    for step in range(start, end):
        perturb(model, seed=step)
        average.update(step)
    return average
