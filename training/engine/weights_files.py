"""Read the pretrained weights that a recipe names, from regular files only: a pipe or a device has no end."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from report_gen.errors import RecipeError


def read_encoder_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file with the weights of an encoder.

    Raises:
        RecipeError: The file is missing, is not a regular file or no safetensors file, or holds NaN or infinity.
    """
    return _read(path, "encoder weights")


def read_image_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a checkpoint by their names in the model.

    Raises:
        RecipeError: As for `read_encoder_weights`.
    """
    return _read(folder / "model.safetensors", "image weights")


def _read(path: Path, what: str) -> dict[str, torch.Tensor]:
    _check_regular(path, what)
    try:
        weights: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise RecipeError(f"{path}: {what} cannot be read ({error}); give a safetensors file") from error
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise RecipeError(f"{path}: the tensor {name} has values that are not finite; give other {what}")
    return weights


def check_decoder_folder(name: str) -> None:
    """Check that the local folder of a pretrained decoder holds regular files only; a hub name is not checked.

    Raises:
        RecipeError: The name is a file other than a GGUF file, or a file of the folder is a pipe or a device.
    """
    folder = Path(name)
    if folder.is_dir():
        for path in folder.iterdir():
            if not path.is_dir():
                _check_regular(path, "decoder weights")
    elif folder.exists() and not (folder.suffix == ".gguf" and folder.is_file()):
        raise RecipeError(
            f"{name}: is a file, but decoder_weights needs a folder with config.json and safetensors files; "
            "give the folder, a GGUF file, or a hub name"
        )


def _check_regular(path: Path, what: str) -> None:
    if path.exists() and not path.is_file():
        raise RecipeError(f"{path}: {what} must be a regular file, not a folder, pipe or device; correct the path")
