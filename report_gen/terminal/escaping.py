"""Escape the characters that a terminal acts on, on everything that is printed."""

from __future__ import annotations

import io
import json
import sys
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType


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


def safe_console(**options: Any) -> Console:
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


@contextmanager
def safe_streams() -> Iterator[None]:
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


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(escape_controls("".join(traceback.format_exception(kind, error, trace))))


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
