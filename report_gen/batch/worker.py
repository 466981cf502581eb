"""A worker process: it receives batches of tasks through a pipe and sends a result for each task.

A worker writes no file, so it can be killed at any moment. It ends when the process that started it ends.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

from report_gen.errors import ReportGenError, is_out_of_memory, without_traceback
from report_gen.terminal import blocked_signals, ignore_signals

_log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
T_contra = TypeVar("T_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

_PRELOADED = "report_gen.batch.study_worker"
"""Imports the libraries once, in the process that is forked for each worker, so that workers share their memory."""

_EXIT_SECONDS = 5.0
"""Time between the end of the pipe of a process and the end of the process."""


class Work(Protocol[T_contra, R_co]):
    """What a worker does."""

    def load(self, tasks: Sequence[T_contra]) -> None:
        """Prepare for tasks. The time that this takes does not count as time of the tasks."""

    def draft(self, tasks: Sequence[T_contra]) -> Iterator[R_co]:
        """Yield a result for each task, in order."""


@dataclass(frozen=True)
class Started:
    """A worker has loaded what it needs and begins with a batch."""


@dataclass(frozen=True)
class Failed:
    """An exception that is no error of report-gen ended a batch. Its message may quote a header, so it is not sent."""

    kind: str
    """Name of the exception."""
    is_out_of_memory: bool


@dataclass(frozen=True)
class Fatal:
    """An error that concerns all tasks, such as a checkpoint that cannot be loaded."""

    error: ReportGenError


class WorkerProcess:
    """A worker process, as the process that starts it sees it.

    Args:
        open_work: Called in the worker; another process must be able to import it.
    """

    def __init__(self, open_work: Callable[[], AbstractContextManager[Work[Any, Any]]]) -> None:
        # A fork of this process would inherit locks that its threads hold. The fork server has no threads.
        context: ForkServerContext | SpawnContext
        context = _server_context() if sys.platform == "linux" else get_context("spawn")
        self.connection, remote = context.Pipe()
        self._process: BaseProcess = context.Process(
            target=_serve, args=(remote, open_work, dict(os.environ)), daemon=True
        )
        with blocked_signals():
            self._process.start()
        remote.close()

    def send(self, tasks: Sequence[Any]) -> None:
        """Send a batch of tasks. A worker that has died is noticed by `receive`."""
        with suppress(OSError):
            self.connection.send(tasks)

    def receive(self) -> Any:
        """Return the next message, or None if the process has died."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def stop(self, *, has_died: bool = False) -> str:
        """End the process, and return how it ended, such as `SIGSEGV` or `exit code 1`.

        Args:
            has_died: `receive` has returned None; then the process gets a moment to end by itself.
        """
        if has_died:
            self._process.join(_EXIT_SECONDS)
        if self._process.pid is not None:
            with suppress(OSError):  # a decoder that hangs in a process of its own would outlive the worker
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        self._process.close()
        try:
            return signal.Signals(-code).name if code < 0 else f"exit code {code}"
        except ValueError:
            return f"signal {-code}"


def _server_context() -> ForkServerContext:
    """Return the context that forks workers from a server, which has imported the libraries."""
    context = get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED])
    return context


def _serve(
    connection: Connection,
    open_work: Callable[[], AbstractContextManager[Work[Any, Any]]],
    environment: Mapping[str, str],
) -> None:
    """Do the work of a worker process until the other end of the pipe is closed.

    Args:
        connection: The pipe.
        open_work: See `WorkerProcess`.
        environment: The environment variables of the process that started the worker. Those of the fork server are as
            old as the server.
    """
    os.environ.clear()
    os.environ.update(environment)
    os.setsid()  # a group of its own, which `WorkerProcess.stop` kills
    ignore_signals()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            with open_work() as work:
                while True:
                    _do(work, connection.recv(), connection)
        except ReportGenError as error:
            connection.send(Fatal(without_traceback(error)))


def _do(work: Work[Any, Any], tasks: Sequence[Any], connection: Connection) -> None:
    work.load(tasks)
    connection.send(Started())
    try:
        for result in work.draft(tasks):
            connection.send(result)
    except (ReportGenError, BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # noqa: BLE001 - a fault of the program must not cost the other studies
        _log.debug("the fault was raised here:", exc_info=True)
        connection.send(Failed(type(error).__name__, is_out_of_memory(error)))
