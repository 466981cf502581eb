"""CSV and JSON from strangers: rows, or one clear CorpusError."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from report_gen.errors import CorpusError


def read_csv(path: Path, *, columns: Iterable[str] = ()) -> list[dict[str, str]]:
    """Rows of a comma-separated file with a heading line; values without surrounding white space.

    Raises:
        CorpusError: when the file is not such a table or lacks one of `columns`.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise CorpusError(f"{path}: not a readable CSV file near line {reader.reader.line_num} ({error}).") from error
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise CorpusError(f"{path}: no column {missing[0]!r}; this layout needs {', '.join(columns)}.")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise CorpusError(
                f"{path}: row {number} has not as many values as the heading line; quote commas in texts."
            )
    return [{name: value.strip() for name, value in row.items()} for row in rows]


def read_json(path: Path) -> Any:
    """The one JSON value of a file. Raises CorpusError when it is not JSON."""
    return _parse(read_text(path), path, "")


def read_json_rows(path: Path) -> list[dict[str, Any]]:
    """Objects of a file with one JSON object per line, or with one array of objects.

    Raises:
        CorpusError: naming the first line or item that is no object.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        rows, unit = _parse(text, path, ""), "item"
    else:
        lines = enumerate(text.split("\n"), start=1)
        rows, unit = [_parse(line, path, f"line {n} is ") for n, line in lines if line.strip()], "object"
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise CorpusError(f"{path}: {unit} {number} is not a JSON object with named values.")
    return list(rows)


def _parse(text: str, path: Path, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: {place}not readable as JSON ({error}).") from error


def read_text(path: Path) -> str:
    """The text of a UTF-8 file. Raises CorpusError when it cannot be read or holds NUL bytes."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 text; save it as UTF-8.") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}).") from error
    if "\0" in text:
        raise CorpusError(f"{path}: holds NUL bytes, so it is damaged or no text file.")
    return text
