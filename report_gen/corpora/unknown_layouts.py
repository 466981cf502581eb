"""Describe a path that has no known corpus layout: an empty folder, images without texts, a file that is no table."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from report_gen.corpora.image_paths import has_image_suffix
from report_gen.corpora.row_tables import DELIMITED_SUFFIXES, JSON_SUFFIXES

_FILES_EXAMINED = 10_000
_TABLE_SUFFIXES = (*DELIMITED_SUFFIXES, *JSON_SUFFIXES)
_TABLES = "CSV, TSV, JSON lines or JSON"
_TEXT_SUFFIXES = (*_TABLE_SUFFIXES, ".txt", ".xml", ".arrow", ".parquet", ".tgz", ".gz", ".zip")
"""Suffixes of files that may contain reports."""


def describe_unknown(path: Path) -> str:
    """Return what is wrong with a path for a message, and the remedy; empty if nothing is known."""
    if path.is_file():
        return "" if path.suffix.lower() in _TABLE_SUFFIXES else f"not a table; give a file of {_TABLES}, or a folder"
    if not path.is_dir():
        return ""
    names = list(islice((name for _, _, names in os.walk(path) for name in names), _FILES_EXAMINED))
    if not names:
        return "the folder is empty; check the path"
    if any(name.lower().endswith(_TEXT_SUFFIXES) for name in names):
        return ""
    images = sum(map(has_image_suffix, names))
    if not images:
        return f"the folder contains neither images nor a table; add a table ({_TABLES})"
    return (
        f"the folder contains {images} images but no texts; add a table ({_TABLES}) with the columns image and report, "
        "or a .txt file beside each image"
    )
