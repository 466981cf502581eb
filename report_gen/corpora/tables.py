"""Read untrusted CSV and JSON files row by row. Every fault of a file becomes a CorpusError."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from report_gen.corpora.json_items import stream_array
from report_gen.corpora.text_files import read_lines
from report_gen.csv_header import find_separator, skip_separator_line
from report_gen.errors import CorpusError
from report_gen.strict_json import parse_json


def read_csv(path: Path, *, columns: Collection[str] = ()) -> Iterator[dict[str, str]]:
    """Yield the rows of a file with a header line and values separated by commas, semicolons, tabs or `|`.

    The header line decides which separator it is. White space around names and values is removed.

    Raises:
        CorpusError: The file is not such a table or lacks one of `columns`.
    """
    lines = skip_separator_line(read_lines(path))
    header = next(lines, "")
    reader = csv.DictReader(chain([header], lines), strict=True, delimiter=find_separator(header))
    try:
        reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
        if repeated := [name for name, count in Counter(reader.fieldnames).items() if count > 1]:
            raise CorpusError(f"{path}: the column {repeated[0]!r} occurs more than once; rename one")
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            raise CorpusError(f"{path}: no column {missing[0]!r}; this layout needs {', '.join(columns)}")
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                raise CorpusError(
                    f"{path}: row {number} does not have as many values as the header line; quote texts that contain "
                    "the separator"
                )
            yield {name: value.strip() for name, value in row.items()}
    except csv.Error as error:
        raise CorpusError(
            f"{path}: invalid CSV near line {reader.reader.line_num} ({error}); correct the file"
        ) from error


def read_header(path: Path) -> tuple[str, ...]:
    """Return the names in the header line of a file that `read_csv` reads; empty for another file. It never raises."""
    try:
        header = next(skip_separator_line(read_lines(path)), "")
        return tuple(name.strip() for name in next(csv.reader([header], delimiter=find_separator(header)), ()))
    except (CorpusError, csv.Error):
        return ()


def has_columns(path: Path, columns: Collection[str]) -> bool:
    """Return whether the first line of a CSV file names these columns. It never raises."""
    return path.suffix == ".csv" and set(columns) <= set(read_header(path))


def read_json_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file with one JSON object per line, or with one array of objects.

    Raises:
        CorpusError: A line or an item is not an object; the message gives its number.
    """
    first = next((line for line in read_lines(path) if line.strip()), "")
    is_array = first.lstrip().startswith("[")
    rows, unit = (stream_array(path), "item") if is_array else (_json_lines(path), "object")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise CorpusError(f"{path}: {unit} {number} is not a JSON object; correct the file")
        yield row


def _json_lines(path: Path) -> Iterator[Any]:
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip():
            try:
                yield parse_json(line)
            except ValueError as error:
                raise CorpusError(f"{path}: line {number} is not valid JSON ({error}); correct the file") from error
