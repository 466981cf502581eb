"""CSV and JSON from strangers, row by row: a row, or one clear CorpusError."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from report_gen.corpora.json_items import stream_array
from report_gen.corpora.text_files import read_lines
from report_gen.errors import CorpusError


def read_csv(path: Path, *, columns: Collection[str] = ()) -> Iterator[dict[str, str]]:
    """Rows of a comma-separated file with a heading line; values without surrounding white space.

    Raises:
        CorpusError: when the file is not such a table or lacks one of `columns`.
    """
    reader = csv.DictReader(read_lines(path), strict=True)
    try:
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise CorpusError(f"{path}: no column {missing[0]!r}; this layout needs {', '.join(columns)}.")
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                raise CorpusError(
                    f"{path}: row {number} has not as many values as the heading line; quote commas in texts."
                )
            yield {name: value.strip() for name, value in row.items()}
    except csv.Error as error:
        raise CorpusError(f"{path}: not a readable CSV file near line {reader.reader.line_num} ({error}).") from error


def has_columns(path: Path, columns: Collection[str]) -> bool:
    """Whether a file is a CSV with these columns, as far as its first line tells; never raises."""
    if path.suffix != ".csv":
        return False
    try:
        heading = next(read_lines(path), "")
        return set(columns) <= set(next(csv.reader([heading]), []))
    except (CorpusError, csv.Error):
        return False


def read_json_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a file with one JSON object per line, or with one array of objects.

    Raises:
        CorpusError: naming the first line or item that is no object.
    """
    first = next((line for line in read_lines(path) if line.strip()), "")
    is_array = first.lstrip().startswith("[")
    rows, unit = (stream_array(path), "item") if is_array else (_json_lines(path), "object")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise CorpusError(f"{path}: {unit} {number} is not a JSON object with named values.")
        yield row


def _json_lines(path: Path) -> Iterator[Any]:
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise CorpusError(f"{path}: line {number} is not readable as JSON ({error}).") from error
