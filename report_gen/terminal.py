"""Run a command line: exit codes, signals, messages and progress bars.

Drafts and results go to standard output. Everything else goes to standard error, so that standard output can be piped.
Nothing that is printed contains a control character of a file name, a header or a text: see `escape_controls`.
`report-gen` and `python -m training` share this module.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import sys
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar, cast

import typer

from report_gen.errors import ReportGenError

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

T = TypeVar("T")

INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + SIGINT), as shells define it."""

_LOGGERS = ("report_gen", "report_gen_training")
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
    with _safe_streams():
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


def set_verbosity(*, verbose: int = 0, quiet: bool = False) -> None:
    """Set which log messages of report-gen are written to standard error.

    Messages never contain names, texts or header values of a patient. Progress bars are hidden where warnings are.

    Args:
        verbose: 0 for warnings, 1 for information, 2 or more for debugging; counts the `-v` of a command line.
        quiet: Errors only, whatever `verbose` is.
    """
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    level = logging.ERROR if quiet else levels[min(verbose, len(levels) - 1)]
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [_StandardErrorHandler()]
        logger.propagate = False


def escape_controls(text: str, *, keep: str = "\n\t") -> str:
    """Escape the characters that a terminal may act on or hide, as JSON does: ESC becomes the six characters \\u001b.

    These are control characters (C0 and C1), format characters such as bidirectional overrides and zero-width spaces,
    line and paragraph separators, and the surrogates that stand for bytes of a file name that are not UTF-8. A JSON
    document keeps its meaning.

    Args:
        text: Any text.
        keep: Characters to leave as they are. A message of one line keeps none.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(json.dumps(c)[1:-1] if c not in keep and _is_unsafe(c) else c for c in text)


def print_text(text: str) -> None:
    """Write text and a line break to standard output: no markup, no wrapping, control characters escaped."""
    sys.stdout.write(escape_controls(text) + "\n")
    sys.stdout.flush()


def print_json(document: str) -> None:
    """Write a JSON document to standard output. It is valid UTF-8 whatever the encoding of the terminal is.

    If that encoding is not UTF-8, all characters outside of ASCII are escaped.
    """
    is_utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    print_text(document if is_utf8 else re.sub(r"[^\0-\x7f]", lambda match: json.dumps(match[0])[1:-1], document))


def print_table(table: RenderableType) -> None:
    """Write a rich table or group to standard output, fitted to the width of the terminal."""
    _safe_console().print(table)


def print_error(message: str) -> None:
    """Write one error to standard error, on one line."""
    sys.stderr.write(f"report-gen: {escape_controls(message, keep='')}\n")


def print_notice(message: str) -> None:
    """Write one notice to standard error, on one line. `--quiet` hides it."""
    if not _is_quiet():
        print_error(f"notice: {message}")


def track(items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
    """Pass items on and show a progress bar; a single item gets none.

    Args:
        items: The items.
        total: Number of items.
        description: Text beside the bar.
    """
    with _progress(disable=total < 2) as progress:
        yield from Bars(progress).track(items, total=total, description=description)


@contextmanager
def bars() -> Iterator[Bars]:
    """Show the progress bars of several tasks, one line each, until the context ends."""
    with _progress() as progress:
        yield Bars(progress)


class Bars:
    """Progress bars, one per task, with lines of text above them. Text is shown literally, never as markup."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def show(self, task: str, done: int, total: int, note: str = "", *, alarm: str = "") -> None:
        """Show the progress of a task; `alarm` is written in red before `note`.

        Args:
            task: Name of the task, beside its bar.
            done: Units of work that are done.
            total: Units of work in all.
            note: Text after the bar.
            alarm: Text in red before the note.
        """
        if task not in self._tasks:
            # A resumed run starts in the middle. Steps done before the first call must not count for the speed.
            self._tasks[task] = self._progress.add_task(task, total=total, completed=done, note="", alarm="")
        self._progress.update(self._tasks[task], completed=done, note=note, alarm=alarm)

    def track(self, items: Iterable[T], *, total: int, description: str) -> Iterator[T]:
        """Pass items on and advance their bar."""
        self.show(description, 0, total)
        for done, item in enumerate(items, start=1):
            yield item
            self.show(description, done, total)

    def say(self, line: str, *, alarm: bool = False) -> None:
        """Print a line that stays above the bars, in red if it is an alarm. `--quiet` hides all but alarms."""
        if alarm or not _is_quiet():
            console = self._progress.console
            console.print(line, style="bold red" if alarm else None, markup=False, highlight=False, soft_wrap=True)


def _progress(*, disable: bool = False) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    return Progress(
        TextColumn("{task.description}", markup=False),
        # In a narrow terminal the bar shrinks before the figures do.
        BarColumn(bar_width=None, table_column=Column(min_width=6, max_width=30, ratio=1)),
        MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=9)),
        TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
        TextColumn("{task.fields[alarm]}", markup=False, style="bold red"),
        TextColumn("{task.fields[note]}", markup=False),
        # In a notebook rich would need widgets; plain lines of text need nothing.
        console=_safe_console(stderr=True, force_jupyter=False),
        disable=disable or _is_quiet(),
    )


def _safe_console(**options: Any) -> Console:
    """Return a rich console that escapes control characters, except those that rich writes itself."""
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    class SafeConsole(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=escape_controls(segment.text))

        @property
        def file(self) -> Any:
            """The stream itself: the escapes of colors must pass."""
            stream = super().file
            return stream.stream if isinstance(stream, _SafeStream) else stream

        @file.setter
        def file(self, new_file: Any) -> None:
            self._file = new_file

    return SafeConsole(**options)


class _SafeStream:
    """A text stream that escapes control characters, also those in messages of Typer, warnings and tracebacks."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(escape_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # click would write to it if the encoding is ASCII, past `write`
            raise AttributeError(name)
        return getattr(self.stream, name)


@contextmanager
def _safe_streams() -> Iterator[None]:
    """Escape control characters on both standard streams, and characters that their encoding lacks."""
    original = sys.stdout, sys.stderr
    for stream in original:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (cast("Any", _SafeStream(stream)) for stream in original)
    sys.excepthook = _print_traceback  # for an unexpected error, which Python prints after this context has ended
    try:
        yield
    finally:
        sys.stdout, sys.stderr = original


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(escape_controls("".join(traceback.format_exception(kind, error, trace))))


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _is_quiet() -> bool:
    return not _log.isEnabledFor(logging.WARNING)


def _accept_interrupts() -> None:
    """Let SIGINT raise KeyboardInterrupt where the process inherited it as ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit_interrupted() -> NoReturn:
    print_error("interrupted; every file that was written is complete")
    sys.exit(INTERRUPTED)


class _StandardErrorHandler(logging.Handler):
    """Writes to the current `sys.stderr`, which progress bars replace so that lines appear above them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_OneLineFormatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(escape_controls(self.format(record)) + "\n")


class _OneLineFormatter(logging.Formatter):
    """Writes the message on one line. A traceback below it keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is that of logging
        return escape_controls(super().formatMessage(record), keep="")
