"""Read the pretrained weights that a recipe names, from regular files only: a pipe or a device has no end."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from report_gen.errors import RecipeError


def read_encoder_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file: weights of a timm model, or a checkpoint of report-gen, whose encoder is used.

    Raises:
        RecipeError: The file is missing, is no regular file or no safetensors file, or holds NaN or infinity.
    """
    _check_regular(path, "encoder weights")
    try:
        weights: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RecipeError(f"{path}: encoder weights cannot be read ({error}); give a safetensors file") from error
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RecipeError(f"{path}: the tensor {name} has values that are not finite; give other encoder weights")
    own = {name.removeprefix(_ENCODER): tensor for name, tensor in weights.items() if name.startswith(_ENCODER)}
    return own or weights


_ENCODER = "encoder.backbone."
"""Beginning of the names of the encoder's weights in a checkpoint."""


def check_decoder_folder(name: str) -> None:
    """Check that the local folder of a pretrained decoder holds regular files only; a hub name is not checked.

    Raises:
        RecipeError: The name is a file, or a file of the folder is a pipe or a device.
    """
    folder = Path(name)
    if folder.is_dir():
        for path in folder.iterdir():
            if not path.is_dir():
                _check_regular(path, "decoder weights")
    elif folder.exists():
        raise RecipeError(
            f"{name}: is a file, but decoder_weights needs a folder with config.json and safetensors files; "
            "give the folder, or a hub name"
        )


def _check_regular(path: Path, what: str) -> None:
    if path.exists() and not path.is_file():
        raise RecipeError(f"{path}: {what} must be a regular file, not a folder, pipe or device; correct the path")
