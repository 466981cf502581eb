"""Print many errors of which most are alike, such as those of the files of one archive."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from report_gen.errors import StudyError
from report_gen.terminal.printing import is_verbose, print_error

SHOWN = 10
"""Number of errors of one kind that are printed."""


class ErrorList:
    """Prints the first errors of each kind as they come; see `error_list`."""

    def __init__(self) -> None:
        self._number = Counter[str]()
        self._first: dict[str, str] = {}
        self._seen = set[str]()

    def print(self, message: str, path: Path | None = None) -> None:
        """Print a message, unless it was printed before or is alike to ten others.

        Args:
            message: The message.
            path: The file or folder that the message names. Messages are alike that differ in it and in numbers only.
        """
        kind = re.sub(r"\d+", "0", message if path is None else message.replace(str(path), "", 1))
        if message in self._seen:
            return
        self._seen.add(message)
        self._number[kind] += 1
        self._first.setdefault(kind, message)
        if self._number[kind] <= SHOWN or is_verbose():
            print_error(message)

    def rest(self) -> Iterator[str]:
        """Yield a message on each kind of which errors were not printed."""
        for kind, number in self._number.items():
            if number > SHOWN and not is_verbose():
                yield f"{number - SHOWN:,} more errors like this one (-v prints all): {self._first[kind]}"


@contextmanager
def error_list() -> Iterator[ErrorList]:
    """Return a list that prints errors, and at its end how many were like those that it printed."""
    errors = ErrorList()
    try:
        yield errors
    finally:
        for message in errors.rest():
            print_error(message)


def print_errors(errors: Iterable[Exception], archives: Iterable[tuple[Path, Path]] = ()) -> None:
    """Print errors: of each kind the first ones, and the number of the others. The same message is printed once.

    Args:
        errors: The errors.
        archives: Folders of unpacked archives with the archives that are named instead.
    """
    replaced = [(str(folder), str(archive)) for folder, archive in archives]
    with error_list() as printed:
        for error in errors:
            message, path = str(error), str(error.path) if isinstance(error, StudyError) else ""
            for folder, archive in replaced:
                message, path = message.replace(folder, archive), path.replace(folder, archive)
            printed.print(message, Path(path) if path else None)
