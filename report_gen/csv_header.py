"""Read the beginning of a table of separated values: which separator it has, and where its header line is."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain

SEPARATORS = ",;\t|"
"""Separators of values in a line."""


def find_separator(header: str) -> str:
    """Return the separator that gives a header line the most columns; a comma for a single column.

    `csv.Sniffer` is not used: its regular expressions take time that grows with the square of the quotation marks.
    """

    def columns(separator: str) -> int:
        try:
            return len(next(csv.reader([header], delimiter=separator), ()))
        except csv.Error:
            return 0

    return max(SEPARATORS, key=columns)


def skip_separator_line(lines: Iterable[str]) -> Iterator[str]:
    """Return the lines without a first line such as `sep=;`, which spreadsheets write."""
    iterator = iter(lines)
    first = next(iterator, "")
    return chain([] if first.strip().lower().startswith("sep=") else [first], iterator)
