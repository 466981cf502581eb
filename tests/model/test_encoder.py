"""One path for every timm architecture: shapes, order of the patches, and timm's own answer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.resnet import ResNet

from report_gen.errors import CheckpointError
from report_gen.model import ImageEncoder

SIZE = 64

CASES = [
    ("test_vit", {"img_size": SIZE}),
    ("test_resnet", {}),
    ("mobilenetv3_small_050", {}),
    ("convnext_atto", {}),
    ("densenet121", {}),
    ("swin_tiny_patch4_window7_224", {"img_size": SIZE, "window_size": 2, "depths": (1, 1, 1, 1), "embed_dim": 24}),
]


def build(name: str, arguments: dict[str, Any], *, image_size: int = SIZE, channels: int = 1) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(name=name, arguments=arguments, image_size=image_size, channels=channels).eval()


@pytest.mark.parametrize(("name", "arguments"), CASES)
@torch.inference_mode()
def test_patch_features_are_the_features_of_timm_row_by_row(name: str, arguments: dict[str, Any]) -> None:
    encoder = build(name, arguments)
    pixel_values = torch.randn(3, 1, SIZE, SIZE)
    patch_features = encoder(pixel_values)
    assert patch_features.shape == (3, encoder.grid**2, encoder.width)
    theirs = encoder.backbone.forward_intermediates(pixel_values, indices=1, norm=True, intermediates_only=True)[0]
    rows = [theirs[:, :, row, column] for row in range(encoder.grid) for column in range(encoder.grid)]
    assert torch.equal(patch_features, torch.stack(rows, dim=1))


@torch.inference_mode()
def test_the_last_level_equals_the_output_of_the_whole_model() -> None:
    encoder = build("test_resnet", {})
    pixel_values = torch.randn(2, 1, SIZE, SIZE)
    features = encoder.backbone.forward_features(pixel_values)  # [B,D_img,h,w]
    assert torch.equal(encoder(pixel_values), features.flatten(2).transpose(1, 2))


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
@torch.inference_mode()
def test_a_bright_corner_lights_its_patch(corner: tuple[int, int]) -> None:
    encoder = build("test_resnet", {}, image_size=256)
    far = encoder.grid - 1
    rows, columns = (slice(0, 32) if side == 0 else slice(224, 256) for side in corner)
    image = torch.zeros(1, 1, 256, 256)
    dark = encoder(image)
    image[:, :, rows, columns] = 5.0
    change = (encoder(image) - dark).norm(dim=-1)[0]
    assert change.argmax() == corner[0] * far * encoder.grid + corner[1] * far


@pytest.mark.parametrize(("image_size", "grid"), [(64, 2), (65, 3), (96, 3)])
@torch.inference_mode()
def test_the_grid_of_an_image_side_that_is_not_a_multiple_of_the_stride(image_size: int, grid: int) -> None:
    encoder = build("test_resnet", {}, image_size=image_size)
    assert encoder.grid == grid
    assert encoder(torch.zeros(1, 1, image_size, image_size)).shape[1] == grid**2


@torch.inference_mode()
def test_the_grid_of_an_architecture_that_rounds_down() -> None:
    encoder = build("inception_v3", {}, image_size=96)
    assert encoder(torch.zeros(1, 1, 96, 96)).shape == (1, encoder.grid**2, encoder.width)


def test_the_head_and_its_weights_are_gone() -> None:
    assert build("test_resnet", {}).backbone.get_classifier().state_dict() == {}


def test_building_leaves_batch_statistics_and_mode_as_they_were() -> None:
    encoder = ImageEncoder(name="test_resnet", arguments={}, image_size=SIZE, channels=1)
    assert encoder.training
    assert not encoder.backbone.bn1.running_mean.any()
    assert not encoder.backbone.bn1.num_batches_tracked


@pytest.mark.parametrize("name", ["no_such_net", "hf-hub:someone/something", "local-dir:/tmp"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match=rf"{name}.*timm\.list_models"):
        build(name, {})


def test_unknown_arguments_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"test_resnet.*not_an_argument"):
        build("test_resnet", {"not_an_argument": 1})


def test_a_size_that_the_architecture_cannot_take_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"vit_tiny.*64 x 64 pixels"):
        build("vit_tiny_patch16_224", {"depth": 1})


def test_an_architecture_without_intermediate_features_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ResNet, "forward_intermediates")
    with pytest.raises(CheckpointError, match="has no intermediate features"):
        build("test_resnet", {})
