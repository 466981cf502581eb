"""Compare the weights of a checkpoint with its configuration, and load them.

The order protects the memory: the header of the file, which is small, gives the shapes of its tensors. The
configuration is compared with them on a model without memory (device `meta`). Only a model that fits is built, so it is
never larger than the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from report_gen.config import ModelConfig
from report_gen.errors import CheckpointError
from report_gen.model.checkpoint_files import CONFIG, check_regular
from report_gen.model.feature_numbers import Encode
from report_gen.model.report_model import ReportModel

Shapes = Mapping[str, tuple[int, ...]]

MAX_HEADER_BYTES = 8 * 2**20
"""Largest header of a safetensors file, bytes; 100 bytes per tensor are usual."""
MAX_UNSTORED_BYTES = 4 * 1e9
"""Largest size of the buffers that a model computes when it is built, such as causal masks, bytes."""

_LENGTH_BYTES = 8


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor in a safetensors file by its name. Only the header of the file is read.

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
    return shapes


def check_shapes(config: ModelConfig, shapes: Shapes, path: Path, *, encode: Encode | None = None) -> None:
    """Compare a configuration with the shapes of stored weights, without memory for the model.

    Args:
        config: Configuration of the model.
        shapes: Shapes by name, from `read_shapes`.
        path: File of the weights, for the error message.
        encode: Tokenizer, needed by the conditioning `numbers` alone.

    Raises:
        CheckpointError: A tensor is missing, unexpected or of another shape, or the model cannot be built.
    """
    try:
        with torch.device("meta"):
            model = ReportModel(config, encode=encode)
    except CheckpointError as error:
        raise CheckpointError(f"{path.with_name(CONFIG)}: {error}") from error
    state = stored_tensors(model)
    faults = sorted(set(state) ^ set(shapes)) or sorted(
        name for name, tensor in state.items() if tuple(tensor.shape) != tuple(shapes[name])
    )
    if faults:
        raise CheckpointError(
            f"{path}: {len(faults)} tensors do not fit {CONFIG}, such as {faults[0][:200]}; copy the checkpoint again"
        )
    names = set(model.state_dict())
    unstored = sum(buffer.nbytes for name, buffer in model.named_buffers() if name not in names)
    if unstored > MAX_UNSTORED_BYTES:
        raise CheckpointError(
            f"{path.with_name(CONFIG)}: the model would need {math.ceil(unstored / 1e9)} GB for masks and position "
            "tables; use a checkpoint whose decoder has fewer positions"
        )


def fill(model: ReportModel, path: Path, content: bytes) -> None:
    """Load weights into a model strictly: every tensor must be there, with its shape, of finite numbers.

    Args:
        model: Model whose weights are replaced.
        path: File of the weights, for error messages.
        content: Content of the file.

    Raises:
        CheckpointError: The content is no safetensors file, or a tensor is missing, unexpected, of another shape or
            type, or contains a NaN or an infinite number.
    """
    try:
        state = load(content)
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a type that torch does not have
        raise CheckpointError(f"{path}: not a safetensors file ({error}); copy the checkpoint again") from error
    for name, tensor in stored_tensors(model).items():
        stored = state.get(name)
        if stored is None or stored.shape != tensor.shape:
            raise CheckpointError(f"{path}: {name} is missing or of another shape; copy the checkpoint again")
        if stored.is_floating_point() != tensor.is_floating_point() or stored.is_complex():
            raise CheckpointError(
                f"{path}: {name} has the type {_type_name(stored)} instead of {_type_name(tensor)}; "
                "use another checkpoint"
            )
        converted = stored.to(tensor.dtype)
        if converted.is_floating_point() and not bool(torch.isfinite(converted).all()):
            raise CheckpointError(
                f"{path}: {name} contains NaN or infinite numbers, so no draft can be trusted; use another checkpoint"
            )
        with torch.no_grad():
            tensor.copy_(converted)


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
