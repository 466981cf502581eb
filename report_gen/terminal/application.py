"""Run a command line: exit codes and signals, and the options that every command has."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from report_gen.errors import ReportGenError
from report_gen.terminal.escaping import safe_streams
from report_gen.terminal.printing import print_error

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
Quiet = Annotated[bool, typer.Option("--quiet", help="Show errors only: no warnings, no progress bars.")]


def run_app(application: Callable[[], object]) -> None:
    """Run a command line and turn errors into one sentence and an exit code.

    Ctrl-C works even where the shell started the process with SIGINT ignored, as it does for `command &` in a script.
    A job that must survive the Ctrl-C of its terminal needs a session of its own (`setsid`). `nohup` works as usual:
    it protects from SIGHUP only.

    Args:
        application: A Typer application, or any function without arguments.

    Raises:
        SystemExit: With the exit code of the error, as listed in `report_gen.errors`, or 130 after Ctrl-C.
    """
    # Hugging Face libraries must not send usage statistics, and their warnings must not mix with drafts.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # pydicom's warnings quote values of the header, which may be data of the patient.
    warnings.filterwarnings("ignore", module="pydicom")
    _accept_interrupts()
    _forbid_core_dumps()
    with safe_streams():
        _run(application)


def _run(application: Callable[[], object]) -> None:
    try:
        application()
    except ReportGenError as error:
        _log.debug("the error was raised here:", exc_info=True)
        print_error(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _exit_interrupted()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # Typer turns a KeyboardInterrupt into this exit code and prints nothing
            _exit_interrupted()
        raise


def _accept_interrupts() -> None:
    """Let SIGINT raise KeyboardInterrupt where the process inherited it as ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _forbid_core_dumps() -> None:
    """Keep the memory, which contains images and headers of patients, from the disk if a process crashes."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _exit_interrupted() -> NoReturn:
    print_error("interrupted; every file that was written is complete")
    sys.exit(INTERRUPTED)
