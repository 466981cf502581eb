"""Text files from strangers, in pieces of bounded length: text, or one clear CorpusError."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from report_gen.errors import CorpusError

LONGEST_LINE = 2**24
"""Characters. A longer line is no row of a table, and a longer file no report: neither may fill the memory."""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises CorpusError when it cannot be read, is too long, or holds NUL bytes."""
    text = next(read_chunks(path, LONGEST_LINE + 1), "")
    if len(text) > LONGEST_LINE:
        raise CorpusError(f"{path}: has more than {LONGEST_LINE} characters; this is no text of a corpus.")
    return text


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a UTF-8 file with their ends. Raises CorpusError as `read_text`."""
    for number, line in enumerate(_read(path, "readline", LONGEST_LINE + 1), start=1):
        if len(line) > LONGEST_LINE:
            raise CorpusError(f"{path}: line {number} has more than {LONGEST_LINE} characters; break it up.")
        yield line


def read_chunks(path: Path, size: int) -> Iterator[str]:
    """Pieces of a UTF-8 file with `size` characters. Raises CorpusError as `read_text`."""
    return _read(path, "read", size)


def _read(path: Path, how: str, size: int) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for piece in iter(partial(getattr(file, how), size), ""):
                if "\0" in piece:
                    raise CorpusError(f"{path}: holds NUL bytes, so it is damaged or no text file.")
                yield piece
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}).") from error
