"""The image encoder: images to patch features, in the same way for every architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from report_gen.config import Scalar
from report_gen.errors import CheckpointError
from report_gen.model.device import check_memory
from report_gen.model.gluon_resnet import GluonResNetV2
from report_gen.model.inflated_resnet import InflatedResNet, astra_i3resnet152, tiny_i3resnet

_OWN: Mapping[str, Callable[[int], GluonResNetV2 | InflatedResNet]] = MappingProxyType(
    {
        "gluon_resnetv2_50_stage3": GluonResNetV2,
        "astra_i3resnet152": astra_i3resnet152,
        "tiny_i3resnet": tiny_i3resnet,
    }
)
"""Architectures of this package, which are built without timm, by the number of channels of their input."""

_BUILD_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors that timm raises for arguments that do not fit together."""


class ImageEncoder(nn.Module):
    """The last feature level of an architecture of this package or of timm, without its classification head.

    Args:
        name: Architecture of this package or of the installed timm; names of hubs and folders are refused.
        arguments: Further arguments of `timm.create_model`; a configuration contains only those that shape the network.
        image_size: Height and width of the square input, pixels.
        channels: Number of channels C.

    Raises:
        CheckpointError: The architecture cannot be built, or it has no intermediate features, or it does not accept
            the image size.
    """

    def __init__(self, *, name: str, arguments: dict[str, Scalar], image_size: int, channels: int) -> None:
        super().__init__()
        self.backbone: Any
        if name in _OWN:
            self.backbone = _build_own(name, arguments, channels)
            shape = self.backbone.feature_shape(channels, image_size)
        else:
            self.backbone = _build_timm(name, arguments, channels)
            shape = self._probe(name, torch.zeros(1, channels, image_size, image_size)).shape[1:]
        self.width, rows, self.grid = map(int, shape)
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

    def optimize_for_inference(self) -> None:
        """Rearrange the weights of 2D convolutions, which are faster with the channels last in memory.

        The features are the same.
        """
        for module in self.backbone.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)

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


def _build_own(name: str, arguments: Mapping[str, Scalar], channels: int) -> nn.Module:
    """Build an architecture of this package."""
    if arguments:
        raise CheckpointError(f"the encoder {name!r} takes no arguments ({', '.join(arguments)}); remove them")
    try:
        return _OWN[name](channels)
    except (RuntimeError, ValueError) as error:
        check_memory(error, f"the encoder {name!r}")
        raise CheckpointError(f"cannot build the encoder {name!r} ({error}); correct its settings") from error


def _build_timm(name: str, arguments: Mapping[str, Scalar], channels: int) -> nn.Module:
    """Build an architecture of timm without its head, and without layers after the last feature level."""
    import timm  # imports all its models, which takes a second

    if not timm.is_model(name):
        raise CheckpointError(f"timm has no encoder {name!r}; choose one from timm.list_models()")
    try:
        backbone: nn.Module = timm.create_model(name, pretrained=False, in_chans=channels, num_classes=0, **arguments)
        if not hasattr(backbone, "forward_intermediates"):
            raise CheckpointError(f"the timm model {name!r} has no intermediate features; choose another encoder")
        backbone.prune_intermediate_layers(1, prune_norm=False, prune_head=True)  # type: ignore[operator]
    except _BUILD_ERRORS as error:
        check_memory(error, f"the encoder {name!r}")
        raise CheckpointError(f"timm cannot build the encoder {name!r} ({error}); correct its arguments") from error
    return backbone
