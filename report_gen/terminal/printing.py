"""Print drafts, tables, errors and notices, and write log messages to standard error."""

from __future__ import annotations

import json
import logging
import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from report_gen.controls import escape_controls
from report_gen.terminal.escaping import safe_console
from report_gen.terminal.option_names import name_options

if TYPE_CHECKING:
    from rich.console import RenderableType

_LOGGERS = ("report_gen", "report_gen_training")
_LONGEST_MESSAGE = 10_000
"""Longest message, characters; the longest path has 4,096 bytes."""
_log = logging.getLogger("report_gen")


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
    """Write a rich table or group to standard output, fitted to the width of the terminal.

    Cells and titles are shown literally: brackets and colons in a name are neither markup nor emoji.
    """
    safe_console(markup=False, emoji=False).print(table)


def print_error(message: str) -> None:
    """Write one error to standard error, on one line. The middle of a message of extreme length is left out.

    Parameters of the Python interface are replaced by options, see `name_options`.
    """
    message = name_options(message)
    if len(message) > _LONGEST_MESSAGE:  # it quotes an id or a value that has no limit; its end is the remedy
        message = f"{message[: _LONGEST_MESSAGE // 2]} [...] {message[-_LONGEST_MESSAGE // 2 :]}"
    sys.stderr.write(f"report-gen: {escape_controls(message, keep='')}\n")


def print_notice(message: str) -> None:
    """Write one notice to standard error, on one line. `--quiet` hides it."""
    if not is_quiet():
        print_error(f"notice: {message}")


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


def is_quiet() -> bool:
    """Return whether `--quiet` was given."""
    return not _log.isEnabledFor(logging.WARNING)


def is_verbose() -> bool:
    """Return whether `-v` was given."""
    return _log.isEnabledFor(logging.INFO)


class _StandardErrorHandler(logging.Handler):
    """Writes to the current `sys.stderr`, which progress bars replace so that lines appear above them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_OneLineFormatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(escape_controls(self.format(record)) + "\n")


class _OneLineFormatter(logging.Formatter):
    """Writes the message on one line and indents a traceback below it, so that no text can forge a message."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is that of logging
        return textwrap.indent(super().formatException(ei), "  ")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is that of logging
        return escape_controls(super().formatMessage(record), keep="")
