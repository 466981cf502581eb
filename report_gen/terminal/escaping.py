"""Escape control characters in what rich draws, except the escape sequences of rich itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from report_gen.controls import escape_controls
from report_gen.terminal.streams import SafeStream

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


def safe_console(**options: Any) -> Console:
    """Return a rich console that escapes control characters, except those that rich writes itself."""
    from rich.console import Console

    class SafeConsole(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else segment._replace(text=escape_controls(segment.text))

        @property
        def file(self) -> Any:
            """The stream without escaping: the escape sequences of colors must pass."""
            stream = super().file
            return stream.unescaped if isinstance(stream, SafeStream) else stream

        @file.setter
        def file(self, new_file: Any) -> None:
            self._file = new_file

    return SafeConsole(**options)
