"""GluonCV's ResNet-50 v2 up to its third stage, as an architecture that timm knows by name.

Its stem has a norm, which that of timm's `resnetv2_50` has not. Three stages give 14x14 patches for 224 pixels, twice
as fine a grid as four, in 8.5 million parameters: https://cv.gluon.ai/model_zoo/classification.html (ResNet50_v2).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from timm.layers import BatchNormAct2d, create_conv2d
from timm.models import register_model
from timm.models.resnetv2 import ResNetV2
from torch import nn

_CHANNELS = (256, 512, 1024)


class GluonResNetV2(ResNetV2):  # type: ignore[misc] # timm is not typed
    """A pre-activation ResNet of three stages; its one feature level is that behind the last."""

    stem: nn.Sequential

    def __init__(self, **arguments: Any) -> None:
        settings = {
            "layers": (3, 4, 6),
            "channels": _CHANNELS,
            "conv_layer": create_conv2d,
            "norm_layer": BatchNormAct2d,
        }
        super().__init__(**settings | arguments)
        convolution, pool = self.stem.get_submodule("conv"), self.stem.get_submodule("pool")
        norm = BatchNormAct2d(convolution.out_channels)
        self.stem = nn.Sequential(OrderedDict(conv=convolution, norm=norm, pool=pool))

    def forward_intermediates(
        self, x: torch.Tensor, *, intermediates_only: bool = False, **_: Any
    ) -> list[torch.Tensor] | tuple[torch.Tensor, list[torch.Tensor]]:
        """[B,C,H,W] -> [B,1024,H/16,W/16], normed; timm's own counts on four stages."""
        features = self.forward_features(x)
        return [features] if intermediates_only else (features, [features])

    def prune_intermediate_layers(self, *_: Any, prune_head: bool = True, **__: Any) -> list[int]:
        """Nothing lies behind the third stage but the head."""
        if prune_head:
            self.reset_classifier(0, "")
        return [len(_CHANNELS)]


@register_model  # type: ignore[untyped-decorator]
def gluon_resnetv2_50_stage3(*, pretrained: bool = False, **arguments: Any) -> GluonResNetV2:
    """The architecture as `timm.create_model` builds it. No weights are known to timm; name a file in the recipe."""
    if pretrained:
        raise RuntimeError("gluon_resnetv2_50_stage3 has no weights in timm; name a safetensors file")
    ignored = {"pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}
    return GluonResNetV2(**{name: value for name, value in arguments.items() if name not in ignored})
