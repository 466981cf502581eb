"""Register GluonCV's ResNet-50 v2, cut after its third stage, as a timm architecture.

Its stem has a normalization layer, unlike timm's `resnetv2_50`. Three stages give 14x14 patches for 224 pixels, twice
as many rows and columns as four stages, with 8.5 million parameters. See ResNet50_v2 in
https://cv.gluon.ai/model_zoo/classification.html.
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
    """A pre-activation ResNet of three stages with one feature level, the output of the last stage."""

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
        """Return normalized features [B,1024,H/16,W/16] of images [B,C,H,W]. timm's own method expects four stages."""
        features = self.forward_features(x)
        return [features] if intermediates_only else (features, [features])

    def prune_intermediate_layers(self, *_: Any, prune_head: bool = True, **__: Any) -> list[int]:
        """Remove the head; no other layer follows the third stage."""
        if prune_head:
            self.reset_classifier(0, "")
        return [len(_CHANNELS)]


@register_model  # type: ignore[untyped-decorator]
def gluon_resnetv2_50_stage3(*, pretrained: bool = False, **arguments: Any) -> GluonResNetV2:
    """Build the architecture for `timm.create_model`. timm has no weights of it; a recipe names a file."""
    if pretrained:
        raise RuntimeError("gluon_resnetv2_50_stage3 has no weights in timm; set model.encoder_weights to a file")
    ignored = {"pretrained_cfg", "pretrained_cfg_overlay", "cache_dir"}
    return GluonResNetV2(**{name: value for name, value in arguments.items() if name not in ignored})
