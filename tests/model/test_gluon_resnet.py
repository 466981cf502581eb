"""GluonCV's ResNet-50 v2: timm's own blocks behind a stem with a norm, and weights that fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

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


def test_it_has_no_weights_of_its_own() -> None:
    with pytest.raises(RuntimeError, match="has no weights in timm"):
        timm.create_model(NAME, pretrained=True)


@pytest.mark.realdata
def test_the_converted_weights_fit(shared: Path) -> None:
    weights = load_file(shared / "weights" / "resnetv2_50_gluon_stage3" / "model.safetensors")
    found = timm.create_model(NAME, num_classes=0).load_state_dict(weights, strict=False)
    assert not found.missing_keys
    assert not found.unexpected_keys
