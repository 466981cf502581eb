"""Images to patch features through one path for every timm architecture."""

from __future__ import annotations

import timm
import torch
from torch import nn

from report_gen.errors import CheckpointError
from report_gen.model.config import Scalar


class ImageEncoder(nn.Module):
    """The last feature level of a timm model, its head cut off.

    Args:
        name: timm architecture.
        arguments: further arguments of `timm.create_model`.
        image_size: side of the square input, pixels.
        channels: C.
    """

    def __init__(self, *, name: str, arguments: dict[str, Scalar], image_size: int, channels: int) -> None:
        super().__init__()
        try:
            self.backbone = timm.create_model(name, in_chans=channels, num_classes=0, **arguments)
        except (RuntimeError, TypeError) as error:
            raise CheckpointError(
                f"timm cannot build the encoder {name!r} ({error}); timm.list_models() lists the names"
            ) from error
        if not hasattr(self.backbone, "forward_intermediates"):
            raise CheckpointError(f"the timm model {name!r} gives no intermediate features; choose another encoder")
        # Layers behind the last feature level would only cost memory.
        self.backbone.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
        level = self.backbone.feature_info[-1]
        self.width: int = level["num_chs"]
        """D_img."""
        self.grid: int = -(-image_size // level["reduction"])
        """Rows and columns of the patch grid; N = grid * grid."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """pixel_values [B*V,C,H,W] -> patch_features [B*V,N,D_img], row by row."""
        (features,) = self.backbone.forward_intermediates(
            pixel_values, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )  # [B*V,D_img,h,w]
        patches: torch.Tensor = features.flatten(2).transpose(1, 2)  # [B*V,N,D_img]
        return patches
