"""Run a command line: exit codes and signals, and the options that every command has."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from types import FrameType
from typing import Annotated, NoReturn

import typer

from report_gen.errors import ReportGenError, UsageError
from report_gen.terminal.arguments import refuse_empty
from report_gen.terminal.printing import print_error
from report_gen.terminal.stopping import Terminated, ending_signals
from report_gen.terminal.streams import safe_streams
from report_gen.timestamp import creation_time

_PYDANTIC_PREFIX = re.compile("(?<=: )Value error, ")
_PYDANTIC_TYPE = re.compile(r"(?<=: )Input should be (.*?)(?:, unable to parse .*)?$")
"""Parts of the messages of pydantic, with which Typer validates values."""

INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + SIGINT), as shells define it."""

_log = logging.getLogger("report_gen")

Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Log the progress of the work; -vv logs causes of errors as well.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show errors only: no notices, warnings and progress bars.")]


def run_app(
    application: typer.Typer | Callable[[], object], *, name: str | None = None, may_be_empty: Container[str] = ()
) -> None:
    """Run a command line and turn errors into one sentence and an exit code.

    Ctrl-C works even where the shell started the process with SIGINT ignored, as it does for `command &` in a script.
    A job that must survive the Ctrl-C of its terminal needs a session of its own (`setsid`). `nohup` works as usual:
    it protects from SIGHUP only.

    Args:
        application: A Typer application, or any function without arguments.
        name: Name of a Typer application in its messages. Default: that of the program.
        may_be_empty: Options of a Typer application whose value may be empty, such as `--indication`.

    Raises:
        SystemExit: With the exit code of the error, as listed in `report_gen.errors`; 130 after Ctrl-C, 143 after
            SIGTERM, 129 after SIGHUP, and 141 if the program that reads standard output has ended.
    """
    # Hugging Face libraries must not send usage statistics, and their warnings must not mix with drafts.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # pydicom's warnings quote values of the header, which may be data of the patient.
    warnings.filterwarnings("ignore", module="pydicom")
    _forbid_core_dumps()
    with safe_streams(), _stop_signals() as stops:
        try:
            creation_time()  # numpy.f2py fails without a sentence on a wrong SOURCE_DATE_EPOCH
            try:
                _call(application, name, may_be_empty)
            finally:
                sys.stdout.flush()
        except ReportGenError as error:
            _log.debug("the error was raised here:", exc_info=True)
            print_error(str(error))
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, Terminated):
            stops.exit()
        except SystemExit as stop:
            if stop.code == INTERRUPTED:  # Typer turns a KeyboardInterrupt into this exit code and prints nothing
                stops.exit()
            raise
        except Exception:
            if stops.received:  # during an import of compiled code the signal surfaces as an ImportError
                stops.exit()
            raise


def _call(application: typer.Typer | Callable[[], object], name: str | None, may_be_empty: Container[str]) -> None:
    if isinstance(application, typer.Typer):
        command = typer.main.get_command(application)  # `Typer.__call__` would replace `sys.excepthook`
        refuse_empty(sys.argv[1:], allowed=may_be_empty)
        try:
            code = command(prog_name=name, standalone_mode=False)
        except typer.TyperException as error:
            raise _usage_error(error) from error
        except typer.Abort as error:
            raise ReportGenError("aborted") from error
        # Typer returns the exit code of `typer.Exit`, or else the return value of the command.
        sys.exit(code if isinstance(code, int) else 0)
    else:
        application()


def _usage_error(error: typer.TyperException) -> UsageError:
    """Return the error of Typer as one sentence that names the command whose help says more.

    Raises:
        SystemExit: The command needs arguments and got none. Its help has been printed.
    """
    message, context = error.format_message(), getattr(error, "ctx", None)
    if message.startswith("Usage: "):  # the message is the help; `context.get_help()` would print it with rich instead
        sys.stderr.write(f"{message}\n")
        sys.exit(error.exit_code)
    hint = "" if context is None else f"; see {context.command_path} --help"
    message = _PYDANTIC_PREFIX.sub("", _PYDANTIC_TYPE.sub(r"the value must be \1", message))
    return UsageError(f"{message[:1].lower()}{message[1:].rstrip('.')}{hint}")


@dataclass
class _StopSignals:
    """Which signal that ends a command was received."""

    received: signal.Signals | None = None

    def exit(self) -> NoReturn:
        """Print that the command was stopped, and exit with 128 plus the number of the signal."""
        received = self.received or signal.SIGINT
        stopped = "interrupted" if received is signal.SIGINT else f"stopped by {received.name}"
        print_error(f"{stopped}; every file that was written is complete")
        sys.exit(128 + received)


@contextmanager
def _stop_signals() -> Iterator[_StopSignals]:
    """Let SIGINT raise KeyboardInterrupt, even if the process inherited it as ignored, and others `Terminated`.

    Unfinished files and temporary folders are removed while the exception passes. At the end the signals get their
    default action, which ends the process without a traceback while Python shuts down.
    """
    stops = _StopSignals()

    def stop(number: int, _: FrameType | None) -> NoReturn:
        stops.received = signal.Signals(number)
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    numbers = (signal.SIGINT, *ending_signals()) if current_thread() is main_thread() else ()
    for number in numbers:  # Python allows no handlers in other threads
        signal.signal(number, stop)
    try:
        yield stops
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _forbid_core_dumps() -> None:
    """Keep the memory, which contains images and headers of patients, from the disk if a process crashes."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
