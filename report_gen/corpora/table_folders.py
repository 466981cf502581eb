"""Layout `table`: a folder with images and one table of any name, or one per split (train.csv, val.csv, test.csv).

The columns are those of the layout `manifest`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from report_gen.corpora.columns import TEXT_FIELDS, match_columns
from report_gen.corpora.examples import SPLITS, split_name
from report_gen.corpora.row_tables import DELIMITED_SUFFIXES, JSON_SUFFIXES, RowTable, file_table
from report_gen.corpora.tables import read_header, read_json_rows
from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray

_NOT_TABLES = frozenset(
    ("split.json", "clean.json", "check.json", "dataset_info.json", "dataset_dict.json", "dataset_infos.json")
)
"""Names of JSON files that lie beside corpora and hold no studies."""
_WORD = re.compile(r"[a-z]+")


def matches(path: Path) -> bool:
    """Return whether a folder has one table, or one per split, whose columns of images and reports are recognized."""
    files = table_files(path)
    if not files:
        return False
    try:
        names = read_header(files[0]) if _is_delimited(files[0]) else tuple(next(iter(read_json_rows(files[0])), {}))
    except CorpusError:
        return False
    use = match_columns(names, chest_xray(), source=files[0])
    return use.has("images") and use.has(*TEXT_FIELDS, *chest_xray().findings)


def tables(path: Path) -> Sequence[RowTable]:
    """Return the tables of a folder, or the table in a file.

    Raises:
        CorpusError: The folder has no table, or several that are not one per split.
    """
    if path.is_file():
        return (file_table(path),)
    files = table_files(path)
    if not files:
        raise CorpusError(f"{path}: no table{describe_several(path)}; give the file itself")
    return tuple(file_table(file, split=split_of_name(file.stem) if len(files) > 1 else "") for file in files)


def table_files(path: Path) -> list[Path]:
    """Return the only table of a folder, or its tables if each is named after another split; else none."""
    files = _candidates(path) if path.is_dir() else []
    splits = {split_of_name(file.stem) for file in files} - {""}
    return files if len(files) == 1 or (files and len(splits) == len(files)) else []


def describe_several(path: Path) -> str:
    """Return the fault of a folder with several tables for a message; empty for a folder without tables."""
    files = _candidates(path) if path.is_dir() else []
    names = ", ".join(file.name for file in files[:3])
    return f" ({len(files)} tables whose names are not those of splits: {names}; give one)" if len(files) > 1 else ""


def split_of_name(name: str) -> str:
    """Return the only split that a file or folder name contains as a word, such as `val` for captions_val2017."""
    found = {split_name(word) for word in _WORD.findall(name.lower())} & set(SPLITS)
    return found.pop() if len(found) == 1 else ""


def _candidates(path: Path) -> list[Path]:
    return [
        file
        for file in sorted(path.iterdir())
        if file.suffix.lower() in (*DELIMITED_SUFFIXES, *JSON_SUFFIXES)
        and file.name.lower() not in _NOT_TABLES
        and not file.name.startswith(".")
        and file.is_file()
    ]


def _is_delimited(file: Path) -> bool:
    return file.suffix.lower() in DELIMITED_SUFFIXES
