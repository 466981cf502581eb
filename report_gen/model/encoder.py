"""The image encoder: images to patch features, in the same way for every timm architecture."""

from __future__ import annotations

import timm
import torch
from torch import nn

from report_gen.config import Scalar
from report_gen.errors import CheckpointError
from report_gen.model import gluon_resnet, inflated_resnet  # noqa: F401 - register their architectures with timm
from report_gen.model.device import check_memory

_BUILD_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors that timm raises for arguments that do not fit together."""


class ImageEncoder(nn.Module):
    """The last feature level of a timm model, without its classification head.

    Args:
        name: timm architecture of this installation; names of hubs and folders are refused.
        arguments: Further arguments of `timm.create_model`; a configuration contains only those that shape the network.
        image_size: Height and width of the square input, pixels.
        channels: Number of channels C.

    Raises:
        CheckpointError: timm cannot build the architecture, or it has no intermediate features, or it does not accept
            the image size.
    """

    def __init__(self, *, name: str, arguments: dict[str, Scalar], image_size: int, channels: int) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise CheckpointError(f"timm has no encoder {name!r}; choose one from timm.list_models()")
        try:
            self.backbone = timm.create_model(name, pretrained=False, in_chans=channels, num_classes=0, **arguments)
            if not hasattr(self.backbone, "forward_intermediates"):
                raise CheckpointError(f"the timm model {name!r} has no intermediate features; choose another encoder")
            # Layers after the last feature level are never used.
            self.backbone.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
        except _BUILD_ERRORS as error:
            check_memory(error, f"the encoder {name!r}")
            raise CheckpointError(f"timm cannot build the encoder {name!r} ({error}); correct its arguments") from error
        self.width, rows, self.grid = self._feature_shape(name, channels, image_size)
        """Width D_img of the patch features, and the columns of the patch grid, which are its rows at one depth."""
        self.depth = rows // self.grid
        """Depth of the patch grid; 1 unless the encoder takes volumes."""

    @property
    def patches(self) -> int:
        """Number N of patches of an image or volume: depth * grid * grid."""
        return self.depth * self.grid**2

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the patch features [B*V,N,D_img] of pixel_values [B*V,C,H,W], row by row of the patch grid."""
        patches: torch.Tensor = self._features(pixel_values).flatten(2).transpose(1, 2)  # [B*V,N,D_img]
        return patches

    def _features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor
        # Convolutions on a CPU are faster with the channels last in memory.
        (features,) = self.backbone.forward_intermediates(
            pixel_values.contiguous(memory_format=torch.channels_last),
            indices=1,
            norm=True,
            output_fmt="NCHW",
            intermediates_only=True,
        )  # [B*V,D_img,h,w]
        return features

    def _feature_shape(self, name: str, channels: int, side: int) -> tuple[int, int, int]:
        """Return width, rows and columns of the features. A volume would take half a minute to be encoded."""
        if isinstance(self.backbone, inflated_resnet.InflatedResNet):
            return self.backbone.feature_shape(channels, side)
        _, width, rows, columns = self._probe(name, torch.zeros(1, channels, side, side)).shape
        return width, rows, columns

    @torch.no_grad()
    def _probe(self, name: str, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the features of one image. Some architectures accept one size only; their grids round up or down."""
        self.eval()
        try:
            return self._features(pixel_values)
        except _BUILD_ERRORS as error:
            check_memory(error, f"the encoder {name!r}")
            side = pixel_values.shape[-1]
            raise CheckpointError(
                f"the encoder {name!r} does not accept {side} x {side} pixels ({error}); change image_size or its "
                "arguments"
            ) from error
        finally:
            self.train()
