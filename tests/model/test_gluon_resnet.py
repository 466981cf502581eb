"""GluonCV's ResNet-50 v2: the blocks of timm behind a stem with a norm, and weights that fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from report_gen.errors import CheckpointError
from report_gen.model import ImageEncoder

NAME = "gluon_resnetv2_50_stage3"


@torch.inference_mode()
def test_it_is_timms_resnet_behind_another_stem() -> None:
    torch.manual_seed(0)
    ours = ImageEncoder(name=NAME, arguments={}, image_size=64, channels=3).eval()
    theirs = timm.create_model("resnetv2_50", num_classes=0).eval()
    theirs.load_state_dict(
        {name: value for name, value in ours.backbone.state_dict().items() if name.startswith("stages")}, strict=False
    )
    pixel_values = torch.randn(2, 3, 64, 64)
    x = ours.backbone.stem.conv(pixel_values).relu() / (1 + 1e-5) ** 0.5  # a new batch norm divides by its epsilon
    x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
    for stage in theirs.stages[:3]:
        x = stage(x)
    expected = (x / (1 + 1e-5) ** 0.5).relu().flatten(2).transpose(1, 2)
    torch.testing.assert_close(ours(pixel_values), expected, atol=1e-4, rtol=1e-4)
    assert (ours.grid, ours.width) == (4, 1024)


@pytest.mark.parametrize("coarse", [True, False])
def test_layers_are_grouped_as_those_of_timm(coarse: bool) -> None:
    ours = ImageEncoder(name=NAME, arguments={}, image_size=64, channels=3).backbone.group_matcher(coarse=coarse)
    theirs = timm.create_model("resnetv2_50").group_matcher(coarse=coarse)
    assert ours == theirs


@pytest.mark.parametrize("size", [32, 33, 47, 48, 49, 224, 250])
@torch.inference_mode()
def test_the_shape_that_is_computed_is_that_of_the_features(size: int) -> None:
    encoder = ImageEncoder(name=NAME, arguments={}, image_size=size, channels=1).eval()
    assert encoder.backbone(torch.zeros(1, 1, size, size)).shape[1:] == encoder.backbone.feature_shape(1, size)
    assert encoder(torch.zeros(1, 1, size, size)).shape == (1, encoder.grid**2, encoder.width)


def test_new_weights_are_drawn_as_those_of_timm() -> None:
    """Kaiming normal with the number of outputs: the standard deviation of the first convolution of a stage."""
    torch.manual_seed(0)
    ours = ImageEncoder(name=NAME, arguments={}, image_size=64, channels=3).backbone
    theirs = timm.create_model("resnetv2_50").stages[:3]
    for number, stage in enumerate(theirs):
        expected = stage.blocks[0].conv2.weight.std()
        torch.testing.assert_close(ours.stages[number].blocks[0].conv2.weight.std(), expected, rtol=0.02, atol=0)


def test_arguments_are_refused() -> None:
    with pytest.raises(CheckpointError, match=rf"{NAME}' takes no arguments \(output_stride\)"):
        ImageEncoder(name=NAME, arguments={"output_stride": 8}, image_size=64, channels=3)


@pytest.mark.realdata
def test_the_converted_weights_fit(shared: Path) -> None:
    weights = load_file(shared / "weights" / "resnetv2_50_gluon_stage3" / "model.safetensors")
    backbone = ImageEncoder(name=NAME, arguments={}, image_size=64, channels=3).backbone
    found = backbone.load_state_dict(weights, strict=False)
    assert not found.missing_keys
    assert not found.unexpected_keys
