"""The run folder: recipe, log, `last/` (the state to resume from) and `best/` (the checkpoint)."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from report_gen.errors import CheckpointError, OutputError, RecipeError, ReportGenError, StoppedError, UsageError
from report_gen.files import recover_folder, remove_temporary_files, write_atomically
from report_gen.tokenizer import TOKENIZER_FILES, ReportTokenizer, parse_tokenizer

from ..recipe import RunSettings, describe_renamed_keys
from .json_files import read_json
from .train_state import TrainState, damaged, load_state, save_state, saved_log_bytes

RECIPE, LOG, LOCK, LAST, BEST = "recipe.json", "log.jsonl", "lock", "last", "best"
CACHE = "cache"

_MAY_CHANGE = {"data", "workers", "cache", "save_minutes", "tensorboard", "checkpoint_activations"}
"""Recipe keys that do not affect the trained weights: a run may be resumed with other values."""


@dataclass(frozen=True)
class Run:
    """A training run on disk."""

    folder: Path

    @classmethod
    @contextmanager
    def open(cls, folder: Path, recipe: RunSettings, *, resume: bool) -> Iterator[Run]:
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
        if not resume and any((folder / name).exists() for name in (LOG, *TOKENIZER_FILES, LAST, BEST)):
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
        write_atomically(self.folder / tokenizer.file_name, tokenizer.to_bytes())

    def load_tokenizer(self) -> ReportTokenizer | None:
        """Return the vocabulary of the run; None before it was learned.

        Raises:
            UsageError: The vocabulary is damaged, or missing although the run has a state.
        """
        present = [name for name in TOKENIZER_FILES if (self.folder / name).exists()]
        path = self.folder / (present or TOKENIZER_FILES)[0]
        if not present:
            if (self.folder / LAST).exists():
                raise damaged(path, "the file is missing")
            return None
        try:
            if not path.is_file():
                raise damaged(path, "not a regular file")
            return parse_tokenizer(path.name, path.read_bytes(), name=str(path))
        except (CheckpointError, OSError) as error:
            raise damaged(path) from error

    def log(self, kind: str, **record: Any) -> None:
        """Append a line to the log."""
        try:
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind} | record) + "\n")
        except OSError as error:
            raise _cannot_log(self.folder / LOG, error) from error

    def save(self, state: TrainState) -> None:
        """Write the state to `last/`, through a temporary folder that is then renamed."""
        save_state(self.folder / LAST, state, log_bytes=self._flush_log())

    def load(self) -> TrainState | None:
        """Return the saved state; None before the first save.

        Raises:
            UsageError: The state is damaged.
        """
        return load_state(self.folder / LAST)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Wrap code that loads the state into models and optimizers: a mismatch is reported as damage.

        Raises:
            UsageError: The state does not fit.
        """
        try:
            yield
        except (RuntimeError, ValueError, LookupError) as error:
            raise damaged(self.folder / LAST) from error

    def _flush_log(self) -> int:
        """Write the log to disk, because the state refers to its size, and return the size."""
        path = self.folder / LOG
        if not path.exists():
            return 0
        try:
            with path.open("ab") as file:
                os.fsync(file.fileno())
                return file.tell()
        except OSError as error:
            raise _cannot_log(path, error) from error

    def _clean_up(self) -> None:
        """Remove the remains of a killed process.

        These are incomplete files and folders, and log lines of steps that will be repeated. The cache in the run
        folder belongs to this run alone. A shared cache is elsewhere and cleaned by age, see `data/shards.py`.
        """
        for name in (LAST, BEST):
            recover_folder(self.folder / name)
        remove_temporary_files(self.folder, subfolders=True)
        log, kept = self.folder / LOG, saved_log_bytes(self.folder / LAST)
        try:
            if log.exists() and log.stat().st_size > kept:
                os.truncate(log, kept)
        except OSError as error:
            raise _cannot_log(log, error) from error

    def _forget_if_unstarted(self) -> None:
        """Remove the recipe, vocabulary and log of a run that was refused before its first step.

        The folder can then be used for a new run. Decoded images are kept, because the next attempt needs them too.
        """
        log = self.folder / LOG
        has_steps = log.exists() and b'"kind": "step"' in log.read_bytes()
        if has_steps or (self.folder / LAST).exists() or (self.folder / BEST).exists():
            return
        for name in (RECIPE, *TOKENIZER_FILES, LOG):
            (self.folder / name).unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock file. The system releases the lock even if the process is killed."""
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii", errors="replace")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another --output") from error
    with file:
        try:
            # Child processes that make batches do not inherit a record lock; they would inherit one of flock.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            raise UsageError(
                f"{folder}: in use by process {file.read(20).strip() or 'unknown'}; wait until it ends, or choose "
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


def _check_same(path: Path, recipe: RunSettings) -> None:
    """Refuse to resume with a recipe that would have trained other weights."""
    try:
        before = type(recipe).model_validate(read_json(path))
    except pydantic.ValidationError as error:
        if renamed := describe_renamed_keys(error):
            raise RecipeError(
                f"{path}: {renamed}, so this run of an earlier version cannot be resumed; "
                "use the new names in your recipe, and start a new run with another --output"
            ) from error
        raise damaged(path) from error
    except (OSError, ValueError) as error:
        raise damaged(path) from error
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


def _cannot_log(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written ({error.strerror}); free some space, then continue with --resume")
