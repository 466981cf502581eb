"""Read the weights of a checkpoint, and fill a model with them: first the header of the file, which is small."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from report_gen.errors import CheckpointError
from report_gen.model.checkpoint_files import check_regular
from report_gen.model.decoder import LANGUAGE_MODEL
from report_gen.model.report_model import ReportModel

Shapes = Mapping[str, tuple[int, ...]]

MAX_HEADER_BYTES = 8 * 2**20
"""Largest header of a safetensors file, bytes; 100 bytes per tensor are usual."""

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class WeightsHeader:
    """The header of a safetensors file."""

    shapes: Shapes
    """Shape of every tensor by its name."""
    metadata: Mapping[str, Any]
    """Notes of the program that wrote the file."""


def read_header(path: Path) -> WeightsHeader:
    """Read the header of a safetensors file, and nothing else of the file.

    Raises:
        CheckpointError: The file is no safetensors file, or its size is not what its header says.
    """
    size = check_regular(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if not 0 < length <= min(MAX_HEADER_BYTES, size - _LENGTH_BYTES):
                raise ValueError(f"the header would take {length} bytes")
            header = json.loads(file.read(length))
        metadata = header.get("__metadata__", {})
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in tensors.items()}
        expected = (
            _LENGTH_BYTES + length + max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
        )
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); copy the checkpoint again") from error
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else f"{str(error)[:100]}"
        raise CheckpointError(f"{path}: not a safetensors file ({reason}); copy the checkpoint again") from None
    if size != expected:
        raise CheckpointError(
            f"{path}: not a safetensors file as its header describes it ({size} bytes instead of {expected}); "
            "copy the checkpoint again"
        )
    return WeightsHeader(shapes, metadata if isinstance(metadata, dict) else {})


def map_weights(path: Path) -> dict[str, torch.Tensor]:
    """Map the tensors of a safetensors file into the memory, by name. They are read from the file where they are used.

    A program that changes the file changes the tensors. They must be copied into a model, which `fill` does.

    Raises:
        CheckpointError: The content is no safetensors file.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError, KeyError, ValueError) as error:  # KeyError: a type that torch does not have
        raise CheckpointError(f"{path}: not a safetensors file ({error}); copy the checkpoint again") from error


def fill(model: ReportModel, path: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Load weights into a model strictly: every tensor must be there, with its shape, of finite numbers.

    Only parameters of the decoder that come from the base of an adapter may be missing.

    Args:
        model: Model whose weights are replaced.
        path: File of the weights, for error messages.
        state: Tensors of the file.

    Raises:
        CheckpointError: A tensor is missing, of another shape or type, or contains a NaN or an infinite number.
    """
    from_base = {f"{LANGUAGE_MODEL}{name}" for name in model.decoder.pretrained}
    for name, tensor in stored_tensors(model).items():
        if name in state or name not in from_base:
            with torch.no_grad():
                tensor.copy_(_find(state, name, tensor, path))
            _check_finite(tensor, name, path)


def take(state: Mapping[str, torch.Tensor], name: str, like: torch.Tensor, path: Path) -> torch.Tensor:
    """Return a tensor of a file, converted to the type of another one that also gives its shape.

    Args:
        state: Tensors of the file.
        name: Name of the tensor.
        like: Tensor of the expected shape and type.
        path: File of the weights, for error messages.

    Raises:
        CheckpointError: As for `fill`.
    """
    converted = _find(state, name, like, path).to(like.dtype)
    _check_finite(converted, name, path)
    return converted


def _find(state: Mapping[str, torch.Tensor], name: str, like: torch.Tensor, path: Path) -> torch.Tensor:
    """Return a tensor of a file that can be converted to the type of another one of the same shape."""
    stored = state.get(name)
    if stored is None or stored.shape != like.shape:
        raise CheckpointError(f"{path}: {name} is missing or of another shape; copy the checkpoint again")
    if stored.is_floating_point() != like.is_floating_point() or stored.is_complex():
        raise CheckpointError(
            f"{path}: {name} has the type {_type_name(stored)} instead of {_type_name(like)}; use another checkpoint"
        )
    return stored


def _check_finite(tensor: torch.Tensor, name: str, path: Path) -> None:
    """Raise CheckpointError if a tensor of floating-point numbers contains a NaN or an infinite number."""
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise CheckpointError(
            f"{path}: {name} contains NaN or infinite numbers, so no draft can be trusted; use another checkpoint"
        )


def stored_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the state of a model by name, with tensors that are the same object, such as tied weights, once."""
    seen: set[int] = set()
    state = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            state[name] = tensor
        seen.add(id(tensor))
    return state


def _type_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
