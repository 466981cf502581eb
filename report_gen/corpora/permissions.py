"""Turn missing permissions for a corpus into errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from report_gen.errors import CorpusError, describe_missing, name_path


@contextmanager
def readable_corpus(path: Path) -> Iterator[None]:
    """Check that a corpus exists and may be read, first and while the context reads it.

    Some functions of `pathlib` raise a PermissionError in a folder that may not be entered, and others answer that its
    files do not exist. So the folder of the corpus is checked before any layout is.

    Args:
        path: File or folder of the corpus.

    Raises:
        CorpusError: The path does not exist, or it or something below it may not be read.
    """
    try:
        _check(path)
        yield
    except PermissionError as error:
        where = error.filename or path
        raise CorpusError(f"{where}: cannot be read ({error.strerror}); check its permissions") from error


def _check(path: Path) -> None:
    """Raise CorpusError if there is nothing at a path, and PermissionError if it may not be read."""
    try:
        path.stat()
    except PermissionError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = describe_missing(path, "no such file or folder; check the path")
        raise CorpusError(f"{name_path(path)}: {reason}") from error
    if path.is_dir():
        with os.scandir(path):
            pass
        os.stat(f"{path}/.")  # noqa: PTH116 - pathlib drops the dot, which needs the permission to enter the folder
