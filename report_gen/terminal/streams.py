"""Guard the standard streams: control characters, encodings that lack a character, closed readers and full disks.

Standard output carries results, so a failure to write it ends the command: with exit code 141 and without a message if
the reader of a pipe has gone (`report-gen draft ... | head -1`), as a program ends that SIGPIPE kills, and otherwise
with an OutputError. Standard error carries messages only, so a failure to write it changes nothing.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from report_gen.controls import escape_controls
from report_gen.errors import OutputError

if TYPE_CHECKING:
    from types import TracebackType

_STANDARD_ERROR = 2
"""Largest of the descriptors of the standard streams."""

READER_GONE = 128 + signal.SIGPIPE
"""Exit code if the reader of standard output has gone, as shells define it."""


@contextmanager
def safe_streams() -> Iterator[None]:
    """Escape control characters on both standard streams, and end the command if standard output cannot be written.

    Within the context, what writes to standard output and what flushes it raises OutputError if it is closed or its
    disk is full, and SystemExit with the code 141 if its reader has gone.
    """
    original = sys.stdout, sys.stderr
    _fill_standard_descriptors()
    for stream in original:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout = cast("TextIO", _safe(sys.stdout, _end_command))
    sys.stderr = cast("TextIO", _safe(sys.stderr, _ignore))
    sys.excepthook = _print_traceback  # for an unexpected error, which Python prints after this context has ended
    original_format, warnings.formatwarning = warnings.formatwarning, _format_warning
    try:
        yield
    finally:
        warnings.formatwarning = original_format
        sys.stderr.flush()
        sys.stdout, sys.stderr = original


class GuardedStream:
    """A text stream that hands errors of the operating system to a function and drops what cannot be written.

    After an error each use of the stream hands it on again, because a library may have caught the exception.

    Args:
        stream: The stream to write to.
        fail: Is called with the error; it may raise another exception.
    """

    def __init__(self, stream: Any, fail: Callable[[OSError], object]) -> None:
        self._stream, self._fail = stream, fail
        self._error: OSError | None = None

    def write(self, text: str) -> int:
        if text:  # click writes an empty text to find out whether the stream is binary
            self._guard(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._guard(self._stream.flush)

    def _guard(self, action: Callable[[], object]) -> None:
        try:
            if self._error is None:
                action()
        except OSError as error:
            self._error = error
            _discard(self._stream)
        if self._error is not None:
            self._fail(self._error)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # click would write to it if the encoding is ASCII, past `write`
            raise AttributeError(name)
        return getattr(self._stream, name)


class SafeStream:
    """A text stream that escapes control characters, also those in messages of Typer, warnings and tracebacks.

    Args:
        stream: The stream to write to.
    """

    def __init__(self, stream: GuardedStream) -> None:
        self.unescaped = stream

    def write(self, text: str) -> int:
        self.unescaped.write(escape_controls(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unescaped, name)


class _ClosedStream(io.TextIOBase):
    """Stands for a standard stream that was closed before the program started (`>&-`)."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "it is closed")


def _safe(stream: TextIO | None, fail: Callable[[OSError], object]) -> SafeStream:
    return SafeStream(GuardedStream(_ClosedStream() if stream is None else stream, fail))


def _ignore(_: OSError) -> None:
    pass


def _fill_standard_descriptors() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed.

    Otherwise the next file that is opened becomes standard output, and what a library prints there damages the file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _end_command(error: OSError) -> None:
    if isinstance(error, BrokenPipeError):
        sys.exit(READER_GONE)
    raise OutputError(
        f"standard output: cannot be written ({error.strerror}); free disk space or send it elsewhere"
    ) from error


def _discard(stream: Any) -> None:
    """Discard the unwritten content of a stream, which Python would otherwise try to write at its exit."""
    with suppress(OSError, ValueError):  # a stream of a test or a notebook has no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return a warning of a library on one line, without the path and the source text of the library."""
    return f"WARNING {category.__name__}: {escape_controls(str(message), keep='')}\n"


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    _safe(sys.stderr, _ignore).write(text)
