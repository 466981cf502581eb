"""Add the commands that installed packages register as entry points.

A command that cannot be loaded does not prevent the use of the others.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import EntryPoint, entry_points
from threading import current_thread, main_thread
from types import FrameType
from typing import NoReturn

import typer

from report_gen.errors import UsageError
from report_gen.terminal import print_notice

COMMAND_GROUP = "report_gen.commands"
"""Entry-point group in which another package registers a command; report_gen_training registers `train`."""


class Plugins:
    """Commands of other packages.

    Args:
        names: Names of the commands of report-gen, which no other package can replace.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._taken = set(names)
        self._problems: dict[str, str] = {}

    def add_to(self, app: typer.Typer) -> None:
        """Add every registered command. One that cannot be loaded raises UsageError when it is called."""
        for entry_point in entry_points(group=COMMAND_GROUP):
            name, source = entry_point.name, _source(entry_point)
            if name in self._taken:
                self._problems[f"{name} of {source}"] = f"the name {name!r} is taken; rename it or remove the package"
                continue
            self._taken.add(name)
            try:
                # Standard output belongs to the command: programs read it.
                with redirect_stdout(sys.stderr), _without_false_interrupts():
                    command = _load(entry_point)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the code of another package may raise anything
                reason = " ".join(f"{type(error).__name__}: {error}".rstrip(": ").split())
                self._problems[name] = f"{source} cannot be loaded ({reason}); reinstall or remove this package"
                app.command(name, help="Not available: its package cannot be loaded.", context_settings=_ANY_ARGUMENTS)(
                    _refuse(f"command {name}: {self._problems[name]}")
                )
            else:
                app.command(name)(command)

    def print_problems(self, *, called: str | None) -> None:
        """Print a notice for every command that is not available, except `called`, which ends with the same reason."""
        for name, problem in self._problems.items():
            if name != called:
                print_notice(f"command {name}: {problem}")


_ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}


def _load(entry_point: EntryPoint) -> Callable[..., object]:
    """Return the function of a command.

    Typer examines its parameters here. An error in them would otherwise be raised whichever command is called.
    """
    command: Callable[..., object] = entry_point.load()
    trial = typer.Typer()
    trial.command()(command)
    typer.main.get_command(trial)
    return command


@contextmanager
def _without_false_interrupts() -> Iterator[None]:
    """Let a KeyboardInterrupt pass that Ctrl-C caused, and replace one that the code of another package raises itself.

    Raises:
        RuntimeError: The block raised KeyboardInterrupt without a Ctrl-C.
    """
    handler, received = signal.getsignal(signal.SIGINT), list[int]()

    def interrupt(number: int, _: FrameType | None) -> NoReturn:
        received.append(number)
        raise KeyboardInterrupt

    watches = handler is signal.default_int_handler and current_thread() is main_thread()
    if watches:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except KeyboardInterrupt as error:
        if received or (callable(handler) and not watches):  # a handler of another program may raise it
            raise
        raise RuntimeError("it raised KeyboardInterrupt") from error
    finally:
        if watches:
            signal.signal(signal.SIGINT, handler)


def _refuse(message: str) -> Callable[[], NoReturn]:
    """Return a command that raises UsageError with a message."""

    def refuse() -> NoReturn:
        raise UsageError(message)

    return refuse


def _source(entry_point: EntryPoint) -> str:
    """Return the package that registers a command, or its module if the package is not known."""
    distribution = entry_point.dist
    return entry_point.value if distribution is None else f"the package {distribution.name}"
