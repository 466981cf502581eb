"""The run folder: recipe, log, `last/` (the state to resume from) and `best/` (the checkpoint)."""

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

from report_gen.errors import OutputError, RecipeError, ReportGenError, StoppedError, UsageError
from report_gen.files import recover_folder, write_atomically, write_folder
from report_gen.tokenizer import ReportTokenizer

from ..recipe import Recipe, describe_renamed_keys
from .state import Tensors

RECIPE, LOG, LOCK, TOKENIZER, LAST, BEST = "recipe.json", "log.jsonl", "lock", "tokenizer.model", "last", "best"
_STATE = "state.json"

_MAY_CHANGE = {"data", "workers", "cache", "save_minutes", "tensorboard", "checkpoint_activations"}
"""Recipe keys that do not affect the trained weights: a run may be resumed with other values."""


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


@dataclass(frozen=True)
class Run:
    """A training run on disk."""

    folder: Path

    @classmethod
    @contextmanager
    def open(cls, folder: Path, recipe: Recipe, *, resume: bool) -> Iterator[Run]:
        """Start a run in a folder, or open the run there; the folder is locked while the context lasts.

        Args:
            folder: Run folder; it is created if missing.
            recipe: Recipe of the run.
            resume: Whether the folder must contain a run, which is continued.

        Raises:
            UsageError: The folder holds a run but `resume` is False or its recipe differs, holds none but `resume` is
                True, or is in use by another process.
            RecipeError: The run was started with recipe keys that have other names now.
            OutputError: The folder cannot be written.
        """
        path = folder / RECIPE
        if resume and not path.is_file():
            raise UsageError(f"{folder}: no run to resume; start one without --resume")
        # A run that failed before it learned anything, such as for a missing corpus, may be started again.
        if not resume and any((folder / name).exists() for name in (LOG, TOKENIZER, LAST, BEST)):
            raise UsageError(f"{folder}: already holds a run; continue it with --resume, or choose another --output")
        with _locked(folder):
            if resume:
                _check_same(path, recipe)
            write_atomically(path, recipe.model_dump_json(indent=2) + "\n")
            run = cls(folder)
            run._clean_up()
            try:
                yield run
            except StoppedError:
                raise
            except ReportGenError:
                run._forget_if_unstarted()
                raise

    def save_tokenizer(self, tokenizer: ReportTokenizer) -> None:
        """Keep the vocabulary of the run."""
        write_atomically(self.folder / TOKENIZER, tokenizer.to_bytes())

    def load_tokenizer(self) -> ReportTokenizer | None:
        """Return the vocabulary of the run; None before it was learned."""
        path = self.folder / TOKENIZER
        return ReportTokenizer.from_file(path) if path.exists() else None

    def log(self, kind: str, **record: Any) -> None:
        """Append a line to the log."""
        try:
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind} | record) + "\n")
        except OSError as error:
            raise OutputError(
                f"{self.folder / LOG}: cannot be written ({error.strerror}); free some space, then continue with "
                "--resume"
            ) from error

    def save(self, state: TrainState) -> None:
        """Write the state to `last/`, through a temporary folder that is then renamed."""
        log = self.folder / LOG
        record = {"progress": asdict(state.progress), "log_bytes": log.stat().st_size if log.exists() else 0}
        tensors = {name: value for name, value in vars(state).items() if name != "progress" and value is not None}
        contents: dict[str, bytes | Callable[[], bytes]] = {_STATE: json.dumps(record).encode()}
        contents |= {_file(name): partial(save, dict(value)) for name, value in tensors.items()}
        write_folder(self.folder / LAST, contents)

    def load(self) -> TrainState | None:
        """Return the saved state; None before the first save.

        Raises:
            UsageError: The state is damaged.
        """
        last = self.folder / LAST
        record = self._record()
        if record is None:
            return None
        tensors = {
            name: _load(last / _file(name))
            for name in ("weights", "best", "optimizer", "ema")
            if name == "weights" or (last / _file(name)).exists()
        }
        try:
            progress = TrainProgress(**record["progress"])
        except (TypeError, KeyError) as error:
            raise _damaged(last / _STATE) from error
        return TrainState(progress=_restore_score(progress), **tensors)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Wrap code that loads the state into models and optimizers: a mismatch is reported as damage.

        Raises:
            UsageError: The state does not fit.
        """
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

    def _clean_up(self) -> None:
        """Remove the remains of a killed process: incomplete folders, and log lines of steps that will be repeated."""
        for name in (LAST, BEST):
            recover_folder(self.folder / name)
        log, record = self.folder / LOG, self._record()
        kept = 0 if record is None else record.get("log_bytes", 0)
        if log.exists() and log.stat().st_size > kept:
            os.truncate(log, kept)

    def _forget_if_unstarted(self) -> None:
        """Remove the recipe, vocabulary and log of a run that was refused before its first step.

        The folder can then be used for a new run. Decoded images are kept, because the next attempt needs them too.
        """
        log = self.folder / LOG
        has_steps = log.exists() and '"kind": "step"' in log.read_text(encoding="utf-8")
        if has_steps or (self.folder / LAST).exists() or (self.folder / BEST).exists():
            return
        for name in (RECIPE, TOKENIZER, LOG):
            (self.folder / name).unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file. The system releases the lock even if the process is killed."""
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another --output") from error
    with file:
        try:
            # Child processes that make batches do not inherit a record lock; they would inherit one of flock.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            raise UsageError(
                f"{folder}: in use by process {file.read().strip() or 'unknown'}; wait until it ends, or choose "
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
    """Refuse to resume with a recipe that would have trained other weights."""
    try:
        before = Recipe.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        if renamed := describe_renamed_keys(error):
            raise RecipeError(
                f"{path}: {renamed}, so this run of an earlier version cannot be resumed; "
                "use the new names in your recipe, and start a new run with another --output"
            ) from error
        raise _damaged(path) from error
    changed = sorted(_differences(before.model_dump(exclude=_MAY_CHANGE), recipe.model_dump(exclude=_MAY_CHANGE)))
    if changed:
        others = f" and {len(changed) - 1} more keys" if len(changed) > 1 else ""
        raise UsageError(
            f"{path}: the run was started with another recipe; {changed[0]}{others} changed; resume with the original "
            "recipe, or choose another --output"
        )


def _differences(before: Any, now: Any, key: str = "") -> Iterator[str]:
    """Yield the dotted keys of different values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in before:
            yield from _differences(before[name], now.get(name), f"{key}{name}.")
    elif isinstance(before, tuple) and isinstance(now, tuple) and len(before) == len(now):
        yield from _differences(dict(enumerate(before)), dict(enumerate(now)), key)
    elif before != now:
        yield key.rstrip(".")


def _restore_score(progress: TrainProgress) -> TrainProgress:
    """Turn the score back into a named tuple, which JSON stores as a list."""
    best = progress.best
    return progress if best is None else TrainProgress(**(vars(progress) | {"best": ValidationScore(*best)}))


def _file(name: str) -> str:
    return "model.safetensors" if name == "weights" else f"{name}.safetensors"


def _load(path: Path) -> Tensors:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> UsageError:
    return UsageError(f"{path}: damaged or of another version; start a new run with another --output")
