"""GluonCV's ResNet-50 v2, cut after its third stage.

Its stem has a normalization layer, unlike timm's `resnetv2_50`. Three stages give 14x14 patches for 224 pixels, twice
as many rows and columns as four stages, with 8.5 million parameters. See ResNet50_v2 in
https://cv.gluon.ai/model_zoo/classification.html, and He et al., "Identity Mappings in Deep Residual Networks", ECCV
2016. Parameters have the names of timm's ResNets v2. The blocks are written out here because to import those of timm
means to import all of its models, which takes a second of every draft.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

_STEM, _CHANNELS, _BLOCKS = 64, (256, 512, 1024), (3, 4, 6)
"""Channels of the stem, channels of the three stages, and their numbers of blocks."""
_STRIDE = 16
"""Pixels of the input for one patch of the features."""
_REDUCTION = 4
"""Channels of a block for one channel of its inner convolution."""


class GluonResNetV2(nn.Module):
    """A pre-activation ResNet of three stages with one feature level, the output of the last stage.

    Args:
        channels: Channels C of the images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(channels, _STEM, 7, stride=2, padding=3, bias=False),
                norm=_NormRelu(_STEM),
                pool=nn.MaxPool2d(3, stride=2, padding=1),
            )
        )
        widths = pairwise((_STEM, *_CHANNELS))
        self.stages = nn.Sequential(
            *(
                _Stage(inputs, outputs, blocks, stride=2 if number else 1)
                for number, ((inputs, outputs), blocks) in enumerate(zip(widths, _BLOCKS, strict=True))
            )
        )
        self.norm = _NormRelu(_CHANNELS[-1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return normalized features [B,1024,H/16,W/16] of images [B,C,H,W]."""
        features: torch.Tensor = self.norm(self.stages(self.stem(pixel_values)))
        return features

    def feature_shape(self, channels: int, side: int) -> tuple[int, int, int]:
        """Return the shape [D_img,rows,columns] of the features of an image [C,side,side], without computing them."""
        columns = -(-side // _STRIDE)
        return _CHANNELS[-1], columns, columns

    def forward_intermediates(
        self, x: torch.Tensor, *, intermediates_only: bool = False, **_: Any
    ) -> list[torch.Tensor] | tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the features of the last stage as timm's models do; see `forward`."""
        features = self(x)
        return [features] if intermediates_only else (features, [features])

    def group_matcher(self, *, coarse: bool = False) -> dict[str, Any]:
        """Return which parameters belong to the stem and to each block, as timm's ResNets v2 do."""
        blocks = r"^stages\.(\d+)" if coarse else [(r"^stages\.(\d+)\.blocks\.(\d+)", None), (r"^norm", (99999,))]
        return {"stem": r"^stem", "blocks": blocks}


class _NormRelu(nn.BatchNorm2d):
    """Batch normalization and ReLU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(super().forward(x), inplace=True)


class _Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, blocks: int, *, stride: int) -> None:
        super().__init__()
        first = _Bottleneck(inputs, outputs, stride=stride, has_projection=True)
        others = (_Bottleneck(outputs, outputs, stride=1, has_projection=False) for _ in range(1, blocks))
        self.blocks = nn.Sequential(first, *others)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.blocks(x)
        return features


class _Bottleneck(nn.Module):
    """Convolutions of 1, 3 and 1 pixels beside a shortcut, each after its normalization; the second has the stride."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, has_projection: bool) -> None:
        super().__init__()
        inner = outputs // _REDUCTION
        self.downsample: nn.Sequential | None = None
        if has_projection:
            projection = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(OrderedDict(conv=projection))
        self.norm1, self.conv1 = _NormRelu(inputs), nn.Conv2d(inputs, inner, 1, bias=False)
        self.norm2, self.conv2 = _NormRelu(inner), nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.norm3, self.conv3 = _NormRelu(inner), nn.Conv2d(inner, outputs, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activated = self.norm1(x)
        shortcut = x if self.downsample is None else self.downsample(activated)
        hidden = self.conv2(self.norm2(self.conv1(activated)))
        features: torch.Tensor = self.conv3(self.norm3(hidden)) + shortcut
        return features
