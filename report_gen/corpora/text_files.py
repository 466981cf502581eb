"""Read untrusted text files in pieces of bounded length. Every fault of a file becomes a CorpusError."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from report_gen.errors import CorpusError

LONGEST_LINE = 2**24
"""Longest line of a table and longest report, characters. A longer one could exhaust the memory."""


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file.

    Raises:
        CorpusError: The file cannot be read, is too long, or contains NUL bytes.
    """
    text = next(read_chunks(path, LONGEST_LINE + 1), "")
    if len(text) > LONGEST_LINE:
        raise CorpusError(f"{path}: has more than {LONGEST_LINE} characters, so it is not a report; remove it")
    return text


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file, or of a UTF-16 file with a byte order mark, with their line ends.

    Raises:
        CorpusError: See `read_text`.
    """
    for number, line in enumerate(_read(path, "readline", LONGEST_LINE + 1), start=1):
        if len(line) > LONGEST_LINE:
            raise CorpusError(f"{path}: line {number} has more than {LONGEST_LINE} characters; split it")
        yield line


def read_chunks(path: Path, size: int) -> Iterator[str]:
    """Yield pieces of `size` characters of a UTF-8 file.

    Raises:
        CorpusError: See `read_text`.
    """
    return _read(path, "read", size)


def _read(path: Path, method: str, size: int) -> Iterator[str]:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device may never end
            raise CorpusError(f"{path}: not a regular file; give a file")
        with path.open(encoding=_encoding(path)) as file:
            for piece in iter(partial(getattr(file, method), size), ""):
                if "\0" in piece:
                    raise CorpusError(
                        f"{path}: contains NUL bytes, so it is damaged or not a text file; save it as UTF-8"
                    )
                yield piece
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}); check the file") from error


def _encoding(path: Path) -> str:
    """Return the encoding by the byte order mark: spreadsheets save "Unicode text" as UTF-16."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
