"""Work that workers do in tests: a task says what happens."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from report_gen.batch.pool import Failure
from report_gen.errors import CheckpointError

VARIABLE = "REPORT_GEN_TEST_OF_WORKERS"
"""An environment variable, whose value each result has."""


@dataclass(frozen=True)
class Task:
    """What a worker does with one task."""

    number: int
    action: str = ""
    """`crash`, `crash once`, `hang`, `decoder hangs`, `raise`, `no memory`, `fatal`, `slow`, or empty."""
    folder: Path = Path()
    """Folder for a file that tells that the task was begun."""


@dataclass(frozen=True)
class Result:
    """The result of a task, or why it has none."""

    number: int
    process: int = 0
    variable: str = ""
    """Value of `VARIABLE` in the worker."""
    failure: Failure | None = None


class FakeWork:
    """Does what the tasks say."""

    def load(self, tasks: Sequence[Task]) -> None:
        if any(task.action == "crash at start" for task in tasks):
            os.kill(os.getpid(), signal.SIGKILL)

    def draft(self, tasks: Sequence[Task]) -> Iterator[Result]:
        for task in tasks:
            self._do(task)
            yield Result(task.number, os.getpid(), os.environ.get(VARIABLE, ""))

    def _do(self, task: Task) -> None:
        if task.action == "crash once":
            begun = task.folder / "begun"
            if begun.exists():
                return
            begun.touch()
        match task.action:
            case "crash" | "crash once":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "hang":
                time.sleep(1000)
            case "decoder hangs":
                decoder = subprocess.Popen(["sleep", "1000"])
                (task.folder / "decoder").write_text(str(decoder.pid))
                decoder.wait()
            case "raise":
                raise ValueError("the name of a patient")
            case "no memory":
                raise MemoryError
            case "fatal":
                raise CheckpointError("the model is broken")
            case "slow":
                (task.folder / f"{task.number}").touch()
                time.sleep(0.3)


@contextmanager
def open_fake_work() -> Iterator[FakeWork]:
    """Open the work in a worker."""
    yield FakeWork()


def refuse(task: Task, failure: Failure) -> Result:
    """Return the result of a task that has failed."""
    return Result(task.number, failure=failure)
