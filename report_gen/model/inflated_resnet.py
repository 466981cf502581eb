"""An inflated 3D ResNet-152 for volumes of CT.

It is the image encoder of Merlin (Blankemeier et al., 2024, https://arxiv.org/abs/2406.06512) and of Astra, a generator
of reports of chest CT: a ResNet-152 whose filters were inflated to three dimensions (Carreira and Zisserman, CVPR
2017). Parameters have the names of these models, so that their weights are loaded as they are; see
`training/engine/volume_weights.py`.

The channels of the input are the slices of one volume, so a volume is an image of many channels, and the depth of the
features is folded into the rows of the patch grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

_STRIDE, _SLICE_STRIDE = 32, 16
"""Pixels and slices of the input for one patch of the features."""
_EXPANSION = 4
"""Channels of a block behind its last convolution, for one channel within it."""


class InflatedResNet(nn.Module):
    """A ResNet of bottleneck blocks with 3D convolutions.

    Args:
        layers: Number of blocks of each of the four stages.
        width: Channels of the stem; the last stage has 32 times as many.
        slices: Number D of slices of a volume.
    """

    def __init__(self, *, layers: Sequence[int], width: int, slices: int) -> None:
        super().__init__()
        if slices % _SLICE_STRIDE:
            raise ValueError(f"encoder.channels, the number of slices, is {slices}; give a multiple of {_SLICE_STRIDE}")
        self.conv1 = nn.Conv3d(3, width, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        stages, channels = [], width
        for number, blocks in enumerate(layers):
            inner = width * 2**number
            stages.append(_stage(channels, inner, blocks, stride=2 if number else 1))
            channels = inner * _EXPANSION
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.num_features = channels

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return features [B,D_img,(D/16)*(H/32),W/32] of volumes [B,D,H,W]: the rows of the first depth come first.

        Volumes are axial slices from foot to head, with the front at the top and the right of the patient at the left,
        as they are displayed. The weights were trained on volumes whose axes increase to the right and to the front.
        """
        volumes = pixel_values.flip(-2, -1).transpose(-2, -1).unsqueeze(1)  # [B,1,D,X,Y]
        hidden = self.maxpool(self.relu(self.bn1(self.conv1(volumes.expand(-1, 3, -1, -1, -1)))))
        features = self.layer4(self.layer3(self.layer2(self.layer1(hidden))))  # [B,D_img,D/16,X/32,Y/32]
        displayed: torch.Tensor = features.transpose(-2, -1).flip(-2, -1)
        return displayed.flatten(2, 3)

    def feature_shape(self, slices: int, side: int) -> tuple[int, int, int]:
        """Return the shape [D_img,rows,columns] of the features of a volume [D,side,side], without computing them."""
        columns = -(-side // _STRIDE)
        return self.num_features, slices // _SLICE_STRIDE * columns, columns

    def forward_intermediates(
        self, x: torch.Tensor, *, intermediates_only: bool = False, **_: Any
    ) -> list[torch.Tensor] | tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the features of the last stage as timm's models do; see `forward`."""
        features = self(x)
        return [features] if intermediates_only else (features, [features])

    def group_matcher(self, *, coarse: bool = False) -> dict[str, Any]:
        """Return which parameters belong to the stem and to each block, as timm's ResNets do."""
        return {"stem": r"^conv1|bn1", "blocks": r"^layer(\d+)" if coarse else r"^layer(\d+)\.(\d+)"}


class _Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 voxels beside a shortcut; the second has the stride, as in ResNet v1.5."""

    def __init__(self, channels: int, inner: int, *, stride: int, has_projection: bool) -> None:
        super().__init__()
        outer = inner * _EXPANSION
        self.conv1, self.bn1 = nn.Conv3d(channels, inner, 1, bias=False), nn.BatchNorm3d(inner)
        self.conv2 = nn.Conv3d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(inner)
        self.conv3, self.bn3 = nn.Conv3d(inner, outer, 1, bias=False), nn.BatchNorm3d(outer)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if has_projection:
            projection = nn.Conv3d(channels, outer, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm3d(outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        hidden = self.relu(self.bn1(self.conv1(x)))
        hidden = self.relu(self.bn2(self.conv2(hidden)))
        result: torch.Tensor = self.relu(self.bn3(self.conv3(hidden)) + shortcut)
        return result


def _stage(channels: int, inner: int, blocks: int, *, stride: int) -> nn.Sequential:
    first = _Bottleneck(channels, inner, stride=stride, has_projection=True)
    others = (_Bottleneck(inner * _EXPANSION, inner, stride=1, has_projection=False) for _ in range(1, blocks))
    return nn.Sequential(first, *others)


def astra_i3resnet152(slices: int) -> InflatedResNet:
    """Build the encoder of Astra for volumes of so many slices."""
    return InflatedResNet(layers=(3, 8, 36, 3), width=64, slices=slices)


def tiny_i3resnet(slices: int) -> InflatedResNet:
    """Build a small variant for tests, like timm's own `test_resnet`."""
    return InflatedResNet(layers=(1, 1, 1, 1), width=4, slices=slices)
