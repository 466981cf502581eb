"""The run folder: the recipe, a log, `last/` to go on from and `best/`, the checkpoint."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pydantic
from safetensors import SafetensorError
from safetensors.torch import load, save

from report_gen.errors import OutputError, UsageError
from report_gen.files import recover_folder, write_atomically, write_folder
from report_gen.tokenizer import ReportTokenizer

from ..recipe.schema import Recipe
from .state import Tensors

RECIPE, LOG, LOCK, TOKENIZER, LAST, BEST = "recipe.json", "log.jsonl", "lock", "tokenizer.model", "last", "best"
_STATE = "state.json"

_MAY_CHANGE = {"data", "workers", "cache", "save_minutes", "tensorboard", "checkpoint_activations"}
"""Keys of a recipe that have no say in what is learned: a run may be resumed with others."""


class ValidationScore(NamedTuple):
    """How good weights are: the greater, the better."""

    score: float
    """Of the drafts; 0 where they vary too little (`fewest_distinct`), and where none are written."""
    negative_loss: float
    """Decides among equal scores."""


@dataclass(frozen=True)
class TrainProgress:
    """How far a run has come."""

    stage: int = 0
    step: int = 0
    """Steps done in the stage."""
    validated: int = -1
    """Steps that were done at the stage's latest validation; -1 before its first."""
    best: ValidationScore | None = None
    """Of the stage's best weights; None without a validation."""
    stale: int = 0
    """Validations since then."""
    faults: int = 0
    """Steps in a row that were left out because their loss or gradient was no number."""
    bf16: bool | None = None
    """The arithmetic of the stage; None before it was chosen."""


@dataclass(frozen=True)
class TrainState:
    """All that a run needs to go on as if it had never stopped."""

    position: TrainProgress
    weights: Tensors
    best: Tensors | None = None
    """Best weights of the stage; None between stages."""
    optimizer: Tensors | None = None
    average: Tensors | None = None
    """Of the weights, where the stage keeps one."""


@dataclass(frozen=True)
class Run:
    """One training run on disk."""

    folder: Path

    @classmethod
    @contextmanager
    def open(cls, folder: Path, recipe: Recipe, *, resume: bool) -> Iterator[Run]:
        """A new run, or the one that lies there; nobody else may have it open.

        Raises:
            UsageError: a run lies there and is not to be resumed, has another recipe, or is open.
            OutputError: the folder cannot be written.
        """
        written = folder / RECIPE
        if resume and not written.is_file():
            raise UsageError(f"{folder}: no run to resume here; leave --resume out to start one")
        if not resume and written.exists():
            raise UsageError(f"{folder}: holds a run already; continue it with --resume, or choose another --output")
        with _locked(folder):
            if resume:
                _check_same(written, recipe)
            write_atomically(written, recipe.model_dump_json(indent=2) + "\n")
            run = cls(folder)
            run._tidy()
            yield run

    def keep_tokenizer(self, tokenizer: ReportTokenizer) -> None:
        write_atomically(self.folder / TOKENIZER, tokenizer.to_bytes())

    def kept_tokenizer(self) -> ReportTokenizer | None:
        """The vocabulary of the run, once it was learned."""
        path = self.folder / TOKENIZER
        return ReportTokenizer.from_file(path) if path.exists() else None

    def log(self, kind: str, **record: Any) -> None:
        """Append one line to the log."""
        try:
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind} | record) + "\n")
        except OSError as error:
            raise OutputError(
                f"{self.folder / LOG}: cannot be written ({error.strerror}); free some space, then go on with --resume"
            ) from error

    def save(self, state: TrainState) -> None:
        """Write `last/` whole under another name, then rename it."""
        log = self.folder / LOG
        record = {"position": asdict(state.position), "log_bytes": log.stat().st_size if log.exists() else 0}
        tensors = {name: value for name, value in vars(state).items() if name != "position" and value is not None}
        contents: dict[str, bytes | Callable[[], bytes]] = {_STATE: json.dumps(record).encode()}
        contents |= {_file(name): partial(save, dict(value)) for name, value in tensors.items()}
        write_folder(self.folder / LAST, contents)

    def state(self) -> TrainState | None:
        """Where the run stopped; None before its first state.

        Raises:
            UsageError: it is damaged.
        """
        last = self.folder / LAST
        record = self._record()
        if record is None:
            return None
        tensors = {
            name: _load(last / _file(name))
            for name in ("weights", "best", "optimizer", "average")
            if name == "weights" or (last / _file(name)).exists()
        }
        try:
            position = TrainProgress(**record["position"])
        except (TypeError, KeyError) as error:
            raise _damaged(last / _STATE) from error
        return TrainState(position=_ranked(position), **tensors)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around what fills models and optimisers from the state: what does not fit them is damaged."""
        try:
            yield
        except (RuntimeError, ValueError, LookupError) as error:
            raise _damaged(self.folder / LAST) from error

    def _record(self) -> dict[str, Any] | None:
        path = self.folder / LAST / _STATE
        try:
            record = json.loads(path.read_bytes()) if path.exists() else None
        except ValueError as error:
            raise _damaged(path) from error
        return record

    def _tidy(self) -> None:
        """Undo what a killed process left: a folder half written, and lines of steps that will be done again."""
        for name in (LAST, BEST):
            recover_folder(self.folder / name)
        log, record = self.folder / LOG, self._record()
        kept = 0 if record is None else record.get("log_bytes", 0)
        if log.exists() and log.stat().st_size > kept:
            os.truncate(log, kept)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file, which the system lets go of even when the process is killed."""
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another --output") from error
    with file:
        try:
            # A record lock, unlike flock, is not passed on to the processes that make batches.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            raise UsageError(
                f"{folder}: process {file.read().strip() or 'unknown'} is training there; wait for it, or choose "
                "another --output"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{path}: cannot be locked ({error.strerror}); choose an --output on another disk"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _check_same(path: Path, recipe: Recipe) -> None:
    """Refuse a recipe that would not have done the steps that are done."""
    try:
        before = Recipe.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        raise _damaged(path) from error
    changed = sorted(_differing(before.model_dump(exclude=_MAY_CHANGE), recipe.model_dump(exclude=_MAY_CHANGE)))
    if changed:
        others = f" and {len(changed) - 1} more keys" if len(changed) > 1 else ""
        raise UsageError(
            f"{path}: the run was started with another recipe, see {changed[0]}{others}; resume with that, or choose "
            "another --output"
        )


def _differing(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Dotted keys of what is not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in before:
            yield from _differing(before[name], now.get(name), f"{key}{name}.")
    elif isinstance(before, tuple) and isinstance(now, tuple) and len(before) == len(now):
        yield from _differing(dict(enumerate(before)), dict(enumerate(now)), key)
    elif before != now:
        yield key.rstrip(".")


def _ranked(position: TrainProgress) -> TrainProgress:
    """JSON knows no named tuples."""
    best = position.best
    return position if best is None else TrainProgress(**(vars(position) | {"best": ValidationScore(*best)}))


def _file(name: str) -> str:
    return "model.safetensors" if name == "weights" else f"{name}.safetensors"


def _load(path: Path) -> Tensors:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UsageError:
    return UsageError(f"{path}: damaged, or of another version; start the run anew with another --output")
