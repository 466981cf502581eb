"""Parameter groups, frozen parts, and learning rates worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from report_gen_training.optim import build_optimizer, parts, set_rates, set_train_mode
from report_gen_training.recipe import StageRecipe

from report_gen.model import ReportModel
from tests.builders import tiny_config, tiny_model


def stage(steps: int = 100, warmup: float = 0.1, weight_decay: float = 0.05, **rates: float) -> StageRecipe:
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": steps, "rates": rates}
    return StageRecipe.model_validate(values | {"warmup": warmup, "weight_decay": weight_decay})


@pytest.fixture
def model() -> ReportModel:
    return tiny_model(tiny_config(encoder="test_resnet"))


def test_the_parts_are_the_whole_model_and_share_nothing(model: ReportModel) -> None:
    listed = [id(parameter) for parameters in parts(model).values() for parameter in parameters]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}
    assert any(parameter is model.projector.state_embedding for parameter in parts(model)["decoder"])


@pytest.mark.parametrize("part", ["encoder", "projector", "decoder"])
def test_a_part_with_a_rate_learns_and_the_others_are_frozen(model: ReportModel, part: str) -> None:
    optimizer = build_optimizer(model, stage(**{part: 1e-3}))
    learning = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert learning == {id(parameter) for parameter in parts(model)[part]}
    assert learning == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def test_rates_and_decay_of_the_groups(model: ReportModel) -> None:
    optimizer = build_optimizer(model, stage(encoder=1e-5, projector=2e-4, decoder=3e-3))
    by_parameter = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for part, rate in {"encoder": 1e-5, "projector": 2e-4, "decoder": 3e-3}.items():
        for parameter in parts(model)[part]:
            group = by_parameter[id(parameter)]
            assert group["peak"] == rate
            assert group["weight_decay"] == (0.05 if parameter.ndim > 1 else 0.0)


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (0, 0.1),  # 10 steps of warm-up
        (4, 0.5),
        (9, 1.0),
        (10, 1.0),  # then half a cosine over the other 90, down to a tenth
        (55, 0.55),
        (32.5, 0.1 + 0.45 * (1 + 2**-0.5)),
        (100, 0.1),
    ],
)
def test_rates_over_time(model: ReportModel, step: Any, share: float) -> None:
    recipe = stage(projector=2e-4, decoder=1e-3)
    optimizer = build_optimizer(model, recipe)
    set_rates(optimizer, recipe, step)
    for group in optimizer.param_groups:
        assert group["lr"] == pytest.approx(group["peak"] * share)


@pytest.mark.parametrize("steps", [1, 2])
def test_rates_of_the_shortest_stages(model: ReportModel, steps: int) -> None:
    recipe = stage(steps=steps, warmup=0.0, decoder=1.0)
    optimizer = build_optimizer(model, recipe)
    for step in range(steps):
        set_rates(optimizer, recipe, step)
        assert all(0 < group["lr"] <= 1 for group in optimizer.param_groups)


def test_a_frozen_encoder_keeps_its_batch_statistics(model: ReportModel) -> None:
    set_train_mode(model, stage(projector=1e-3).rates)
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    model.encoder(torch.randn(4, 1, 32, 32))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.encoder.state_dict().items())
    assert model.projector.training
    assert not model.decoder.training


def test_a_learning_encoder_gathers_batch_statistics(model: ReportModel) -> None:
    set_train_mode(model, stage(encoder=1e-3).rates)
    before = model.encoder.backbone.bn1.running_mean.clone()
    model.encoder(torch.randn(4, 1, 32, 32))
    assert not torch.equal(model.encoder.backbone.bn1.running_mean, before)
    assert model.training
