"""Parameter groups, frozen parts and layers, and learning rates computed by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from report_gen_training.optimization.optimizer import (
    build_optimizer,
    encoder_layers,
    learning_rates,
    parameters_by_part,
    set_rates,
    set_train_mode,
)
from report_gen_training.recipe.schema import Rates, StageRecipe
from timm.optim import param_groups_layer_decay

from report_gen.errors import RecipeError
from report_gen.model import ReportModel
from tests.builders import tiny_config, tiny_model


def stage(steps: int = 100, warmup: float = 0.1, weight_decay: float = 0.05, **rates: float) -> StageRecipe:
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": steps, "rates": rates}
    return StageRecipe.model_validate(values | {"warmup": warmup, "weight_decay": weight_decay})


@pytest.fixture
def model() -> ReportModel:
    return tiny_model(
        tiny_config(encoder="test_resnet", attributes=[{"name": "plane", "values": ["axial", "coronal"]}])
    )


def test_the_parts_partition_the_model(model: ReportModel) -> None:
    listed = [id(parameter) for parameters in parameters_by_part(model).values() for parameter in parameters]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(parameter) for parameter in model.parameters()}
    embeddings = (model.projector.state_embedding, *model.projector.attribute_embeddings)
    assert {id(one) for one in embeddings} < {id(one) for one in parameters_by_part(model)["decoder"]}


@pytest.mark.parametrize("part", ["encoder", "projector", "decoder"])
def test_a_part_with_a_rate_is_trained_and_the_others_are_frozen(model: ReportModel, part: str) -> None:
    optimizer = build_optimizer(model, stage(**{part: 1e-3}))
    learning = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert learning == {id(parameter) for parameter in parameters_by_part(model)[part]}
    assert learning == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}


def test_the_sequence_encoder_is_trained_and_frozen_with_the_projector() -> None:
    model = tiny_model(tiny_config(sequence={"kind": "attention", "width": 16}))
    parts, sequence = parameters_by_part(model), {id(parameter) for parameter in model.sequence.parameters()}
    assert sequence < {id(parameter) for parameter in parts["projector"]}
    assert {id(parameter) for part in parts.values() for parameter in part} == set(map(id, model.parameters()))
    for rates, trained in ({"projector": 1e-3}, True), ({"decoder": 1e-3}, False):
        recipe = stage(**rates)
        build_optimizer(model, recipe)
        set_train_mode(model, recipe.rates)
        assert {parameter.requires_grad for parameter in model.sequence.parameters()} == {trained}
        assert model.sequence.training is trained


def test_rates_and_decay_of_the_groups(model: ReportModel) -> None:
    optimizer = build_optimizer(model, stage(encoder=1e-5, projector=2e-4, decoder=3e-3))
    by_parameter = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for part, rate in {"encoder": 1e-5, "projector": 2e-4, "decoder": 3e-3}.items():
        for parameter in parameters_by_part(model)[part]:
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


def test_a_trained_encoder_updates_batch_statistics(model: ReportModel) -> None:
    set_train_mode(model, stage(encoder=1e-3).rates)
    before = model.encoder.backbone.bn1.running_mean.clone()
    model.encoder(torch.randn(4, 1, 32, 32))
    assert not torch.equal(model.encoder.backbone.bn1.running_mean, before)
    assert model.training


def test_a_trained_encoder_may_keep_its_batch_statistics(model: ReportModel) -> None:
    rates = Rates(encoder=1e-3, frozen_batch_norm=True)
    set_train_mode(model, rates)
    before = {name: buffer.clone() for name, buffer in model.encoder.named_buffers()}
    images = torch.randn(4, 1, 32, 32)
    model.encoder(images).sum().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.encoder.named_buffers())
    assert model.encoder.backbone.bn1.weight.grad is not None
    trained = model.encoder(images)
    model.encoder.eval()
    torch.testing.assert_close(trained, model.encoder(images))


@pytest.mark.parametrize("encoder", ["test_vit", "test_resnet", "test_convnext"])
def test_layer_wise_rates_equal_timms(encoder: str) -> None:
    """timm's helper gives every parameter of the same backbone the same share of the rate."""
    model = tiny_model(tiny_config(encoder=encoder))
    ours = learning_rates(model, Rates(encoder=1e-3, encoder_decay=0.75))
    theirs = {
        id(parameter): group["lr_scale"]
        for group in param_groups_layer_decay(model.encoder.backbone, layer_decay=0.75)
        for parameter in group["params"]
    }
    for name, parameter in model.encoder.named_parameters():
        assert ours[f"encoder.{name}"] == pytest.approx(1e-3 * theirs[id(parameter)]), name


def test_layers_of_a_vit_and_of_a_resnet_by_hand() -> None:
    vit, resnet = (encoder_layers(tiny_model(tiny_config(encoder=name))) for name in ("test_vit", "test_resnet"))
    assert vit["encoder.backbone.patch_embed.proj.weight"] == vit["encoder.backbone.cls_token"] == 0
    assert [vit[f"encoder.backbone.blocks.{block}.norm1.bias"] for block in range(6)] == [1, 2, 3, 4, 5, 6]
    assert vit["encoder.backbone.norm.weight"] == 6
    assert resnet["encoder.backbone.conv1.0.weight"] == 0
    assert [resnet[f"encoder.backbone.layer{stage}.0.bn1.bias"] for stage in (1, 2, 3, 4)] == [1, 2, 3, 4]
    rates = learning_rates(tiny_model(tiny_config(encoder="test_resnet")), Rates(encoder=1.0, encoder_decay=0.5))
    assert rates["encoder.backbone.conv1.0.weight"] == 1 / 16
    assert rates["encoder.backbone.layer3.0.bn1.bias"] == 1 / 2


@pytest.mark.parametrize(
    ("encoder", "last", "learning"),
    [("test_vit", 2, ("blocks.4.", "blocks.5.", "norm.")), ("test_resnet", 1, ("layer4.",))],
)
def test_only_the_last_layers_are_trained(encoder: str, last: int, learning: tuple[str, ...]) -> None:
    model = tiny_model(tiny_config(encoder=encoder))
    optimizer = build_optimizer(model, stage(encoder=1e-3, encoder_layers=last, encoder_decay=0.1))
    found = {name for name, parameter in model.encoder.backbone.named_parameters() if parameter.requires_grad}
    assert found == {name for name, _ in model.encoder.backbone.named_parameters() if name.startswith(learning)}
    assert sorted({group["peak"] for group in optimizer.param_groups}) == pytest.approx([1e-4, 1e-3][-last:])
    assert {group["part"] for group in optimizer.param_groups} == {"encoder"}


def test_frozen_layers_keep_their_batch_statistics(model: ReportModel) -> None:
    recipe = stage(encoder=1e-3, encoder_layers=1)
    build_optimizer(model, recipe)
    set_train_mode(model, recipe.rates)
    before = {name: buffer.clone() for name, buffer in model.encoder.named_buffers()}
    model.encoder(torch.randn(4, 1, 32, 32))
    moved = {name for name, buffer in model.encoder.named_buffers() if not torch.equal(buffer, before[name])}
    assert moved
    assert all(name.startswith("backbone.layer4.") for name in moved)


def test_a_later_stage_trains_what_an_earlier_one_froze(model: ReportModel) -> None:
    build_optimizer(model, stage(encoder=1e-3, encoder_layers=1))
    build_optimizer(model, stage(encoder=1e-3))
    assert all(parameter.requires_grad for parameter in model.encoder.parameters())


def test_too_many_layers_are_refused(model: ReportModel) -> None:
    with pytest.raises(RecipeError, match="encoder_layers = 6, but the encoder 'test_resnet' has 5 layers; remove it"):
        build_optimizer(model, stage(encoder=1e-3, encoder_layers=6))


def test_an_encoder_without_layers_is_refused(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(type(model.encoder.backbone), "group_matcher")
    with pytest.raises(
        RecipeError, match="timm defines no layers for the encoder 'test_resnet'; remove encoder_layers"
    ):
        build_optimizer(model, stage(encoder=1e-3, encoder_decay=0.9))


@pytest.mark.parametrize("layers", [{"encoder_layers": 2}, {"encoder_decay": 0.9}, {"frozen_batch_norm": True}])
def test_layers_of_a_frozen_encoder_are_refused(layers: dict[str, Any]) -> None:
    with pytest.raises(
        ValueError, match=r"encoder_layers, encoder_decay and frozen_batch_norm need rates\.encoder above 0"
    ):
        Rates(decoder=1e-3, **layers)
