"""The state of a run between two steps, in memory and on disk: progress, weights, optimizer state, moving average."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import pydantic
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save

from report_gen.errors import UsageError
from report_gen.files import write_folder

from .json_files import read_json
from .state import Tensors

_STATE = "state.json"
_TENSORS = ("weights", "best", "optimizer", "ema")
"""Fields of `TrainState` with tensors; each is a file."""

_Count = Annotated[int, Field(ge=0, strict=True)]


class ValidationScore(NamedTuple):
    """Score of the weights of a validation. It compares as a tuple; higher is better."""

    score: float
    """Score of the drafts; 0 if too few of them differ (`min_distinct`), and if there are none."""
    negative_loss: float
    """Decides between equal scores."""


@dataclass(frozen=True)
class TrainProgress:
    """Progress of a run."""

    stage: int = 0
    """Index of the stage."""
    step: int = 0
    """Steps done in the stage."""
    validated: int = -1
    """Value of `step` at the latest validation of the stage; -1 before the first one."""
    best: ValidationScore | None = None
    """Score of the stage's best weights; None before the first validation, and without validation studies."""
    stale: int = 0
    """Validations since the best one."""
    skipped: int = 0
    """Number of latest steps in a row that were skipped because loss or gradient was not finite."""
    bf16: bool | None = None
    """Whether the stage runs in bf16; None before this was chosen."""


@dataclass(frozen=True)
class TrainState:
    """Everything that a run needs to continue as if it had never stopped."""

    progress: TrainProgress
    weights: Tensors
    best: Tensors | None = None
    """Best weights of the stage; None between stages."""
    optimizer: Tensors | None = None
    ema: Tensors | None = None
    """Exponential moving average of the weights, if the stage keeps one."""
    seed: int | None = None
    """Seed of the run, from which the order of the studies follows; None in a state of version 0.1."""
    base_sha256: str = ""
    """SHA-256 of the frozen weights of another model to which `weights` are adapters; empty if there is none."""


class _Progress(pydantic.BaseModel):
    """`TrainProgress` as `state.json` stores it."""

    model_config = pydantic.ConfigDict(extra="forbid")

    stage: _Count
    step: _Count
    validated: Annotated[int, Field(ge=-1, strict=True)]
    best: tuple[float, float] | None
    stale: _Count
    skipped: _Count
    bf16: Annotated[bool | None, Field(strict=True)]


class _Record(pydantic.BaseModel):
    """The content of `state.json`."""

    model_config = pydantic.ConfigDict(extra="forbid")

    progress: _Progress
    log_bytes: _Count = 0
    """Size of the log when the state was saved; later lines are of steps that will be repeated."""
    seed: _Count | None = None
    base_sha256: str = ""
    tensors: dict[str, _Count] = {}
    """Number of tensors by file; empty in a state of version 0.1."""


def save_state(folder: Path, state: TrainState, *, log_bytes: int) -> None:
    """Write a state to a folder, through a temporary folder that is then renamed.

    Raises:
        OutputError: The folder cannot be written; an earlier state is unchanged.
    """
    tensors = {name: dict(value) for name in _TENSORS if (value := getattr(state, name)) is not None}
    record = {
        "progress": asdict(state.progress),
        "log_bytes": log_bytes,
        "seed": state.seed,
        "base_sha256": state.base_sha256,
        "tensors": {_file(name): len(value) for name, value in tensors.items()},
    }
    contents: dict[str, bytes | Callable[[], bytes]] = {_STATE: json.dumps(record).encode()}
    contents |= {_file(name): partial(save, value) for name, value in tensors.items()}
    write_folder(folder, contents)


def load_state(folder: Path) -> TrainState | None:
    """Return the state in a folder; None if there is no such folder.

    Raises:
        UsageError: The state is damaged: a file is missing or malformed, or a tensor is missing or not finite.
    """
    record = _read_record(folder)
    if record is None:
        return None
    tensors = {
        name: _load(folder / _file(name), record.tensors.get(_file(name)))
        for name in _TENSORS
        if name == "weights" or _file(name) in record.tensors or (folder / _file(name)).exists()
    }
    progress = record.progress.model_dump()
    if progress["best"] is not None:
        progress["best"] = ValidationScore(*progress["best"])
    return TrainState(TrainProgress(**progress), seed=record.seed, base_sha256=record.base_sha256, **tensors)


def saved_log_bytes(folder: Path) -> int:
    """Return the size of the log when the state in a folder was saved; 0 if there is no such folder.

    Raises:
        UsageError: The state is damaged.
    """
    record = _read_record(folder)
    return 0 if record is None else record.log_bytes


def damaged(path: Path, reason: str = "") -> UsageError:
    """Return the error for a file of a run that cannot be used.

    Args:
        path: File or folder.
        reason: What is wrong with it; empty if unknown.
    """
    problem = f"damaged or of another version ({reason})" if reason else "damaged or of another version"
    return UsageError(f"{path}: {problem}; start a new run with another --output")


def _read_record(folder: Path) -> _Record | None:
    if not folder.exists():
        return None
    path = folder / _STATE
    try:
        return _Record.model_validate(read_json(path))
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        raise damaged(path, f"{'.'.join(map(str, fault['loc'])) or 'content'}: {fault['msg']}") from error
    except (OSError, ValueError) as error:
        raise damaged(path) from error


def _load(path: Path, count: int | None) -> Tensors:
    try:
        if not path.is_file():
            raise damaged(path, "the file is missing")
        tensors = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise damaged(path) from error
    if count is not None and len(tensors) != count:
        raise damaged(path, f"{len(tensors)} tensors instead of {count}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise damaged(path, f"the tensor {name} has values that are not finite")
    return tensors


def _file(name: str) -> str:
    return "model.safetensors" if name == "weights" else f"{name}.safetensors"
