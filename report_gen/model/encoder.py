"""Images to patch features through one path for every timm architecture."""

from __future__ import annotations

import timm
import torch
from torch import nn

from report_gen.config import Scalar
from report_gen.errors import CheckpointError
from report_gen.model import gluon_resnet  # noqa: F401 - timm knows it from here on


class ImageEncoder(nn.Module):
    """The last feature level of a timm model, its head cut off.

    Args:
        name: timm architecture; one of this installation, never one that timm would fetch from a hub or a folder.
        arguments: further arguments of `timm.create_model`.
        image_size: side of the square input, pixels.
        channels: C.
    """

    def __init__(self, *, name: str, arguments: dict[str, Scalar], image_size: int, channels: int) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise CheckpointError(f"timm does not know the encoder {name!r}; timm.list_models() lists the names")
        try:
            self.backbone = timm.create_model(name, in_chans=channels, num_classes=0, **arguments)
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            raise CheckpointError(f"timm cannot build the encoder {name!r} ({error}); correct its arguments") from error
        if not hasattr(self.backbone, "forward_intermediates"):
            raise CheckpointError(f"the timm model {name!r} gives no intermediate features; choose another encoder")
        # Layers behind the last feature level would only cost memory.
        self.backbone.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
        features = self._try(name, torch.zeros(1, channels, image_size, image_size))
        self.width: int = features.shape[1]
        """D_img."""
        self.grid: int = features.shape[2]
        """Rows and columns of the patch grid; N = grid * grid."""

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """pixel_values [B*V,C,H,W] -> patch_features [B*V,N,D_img], row by row."""
        patches: torch.Tensor = self._features(pixel_values).flatten(2).transpose(1, 2)  # [B*V,N,D_img]
        return patches

    def _features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor
        (features,) = self.backbone.forward_intermediates(
            pixel_values, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )  # [B*V,D_img,h,w]
        return features

    @torch.no_grad()
    def _try(self, name: str, pixel_values: torch.Tensor) -> torch.Tensor:
        """Features of one image: some architectures take one size only, and their grids round up or down."""
        self.eval()
        try:
            return self._features(pixel_values)
        except (RuntimeError, AssertionError) as error:
            side = pixel_values.shape[-1]
            raise CheckpointError(
                f"the encoder {name!r} takes no {side} x {side} pixels ({error}); change image_size or its arguments"
            ) from error
        finally:
            self.train()
