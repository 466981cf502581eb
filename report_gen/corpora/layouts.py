"""The registry of corpus layouts, and the choice of the layout of a path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from report_gen.corpora import (
    coco,
    dicom_folders,
    image_texts,
    imagefolder,
    indiana,
    manifest,
    medpix,
    mimic,
    nih,
    openi,
    r2gen,
    saved_datasets,
    table_folders,
)
from report_gen.corpora.columns import ColumnMapping
from report_gen.corpora.examples import Example
from report_gen.corpora.row_tables import RowTable, read_tables
from report_gen.corpora.unknown_layouts import describe_unknown
from report_gen.errors import CorpusError, UsageError
from report_gen.records import FindingSchema

_Read = Callable[[Path, Path | None, FindingSchema, ColumnMapping | None], Iterator[Example]]


class Layout(NamedTuple):
    """A file layout of corpora."""

    matches: Callable[[Path], bool]
    """Returns whether a path has this layout, from names and first bytes; never raises for an unknown file."""
    read: _Read
    """Yields the studies at a path. Images that are not files are written to the store; labels follow the schema.
    Layouts with `tables` accept a mapping of their columns."""
    rank: int = 0
    """The layout is considered only if no layout of a lower rank matches."""
    tables: Callable[[Path], Sequence[RowTable]] | None = None
    """Returns the tables of a layout with any column names; None for a layout with fixed files and columns."""


def _plain(read: Callable[[Path], Iterator[Example]]) -> _Read:
    return lambda path, _store, _schema, _columns: read(path)


def _labeled(read: Callable[[Path, FindingSchema], Iterator[Example]]) -> _Read:
    return lambda path, _store, schema, _columns: read(path, schema)


def _tabular(matches: Callable[[Path], bool], tables: Callable[[Path], Sequence[RowTable]], *, rank: int = 0) -> Layout:
    def read(path: Path, store: Path | None, schema: FindingSchema, columns: ColumnMapping | None) -> Iterator[Example]:
        return read_tables(tables(path), schema, columns, store=store)

    return Layout(matches, read, rank, tables)


LAYOUTS: Mapping[str, Layout] = {
    "r2gen": Layout(r2gen.matches, _plain(r2gen.read)),
    "indiana": Layout(indiana.matches, _plain(indiana.read)),
    "openi": Layout(openi.matches, _plain(openi.read)),
    "mimic-cxr": Layout(mimic.matches_dicom, _labeled(mimic.read_dicom)),
    "mimic-cxr-jpg": Layout(mimic.matches_jpeg, _labeled(mimic.read_jpeg)),
    "nih": Layout(nih.matches, _labeled(nih.read)),
    "medpix": Layout(medpix.matches, _plain(medpix.read_images)),
    "medpix-series": Layout(medpix.never_matches, _plain(medpix.read_series)),
    "medpix-cases": Layout(medpix.never_matches, _plain(medpix.read_cases)),
    "hf": _tabular(saved_datasets.matches, saved_datasets.tables),
    "imagefolder": _tabular(imagefolder.matches, imagefolder.tables),
    "coco": _tabular(coco.matches, coco.tables),
    "manifest": _tabular(manifest.matches, manifest.tables),
    "table": _tabular(table_folders.matches, table_folders.tables, rank=1),
    "dicom": Layout(dicom_folders.matches, _plain(dicom_folders.read), rank=2),
    "image-text": Layout(image_texts.matches, _plain(image_texts.read), rank=2),
}


def choose_layout(path: Path, layout: str | None, columns: ColumnMapping | None = None) -> str:
    """Return the name of the layout of a path.

    Args:
        path: The corpus.
        layout: Name that the user chose; None to detect it.
        columns: The user's mapping of columns; only tables with any column names are considered.

    Raises:
        UsageError: There is no layout of this name.
        CorpusError: The layout cannot be detected, is ambiguous, or has fixed columns although `columns` is given.
    """
    if layout is not None:
        if layout not in LAYOUTS:
            raise UsageError(f"unknown corpus layout {layout!r}; choose from {', '.join(LAYOUTS)}")
        if columns and LAYOUTS[layout].tables is None:
            raise CorpusError(f"{path}: the layout {layout!r} has fixed columns; leave out the mapping of columns")
        return layout
    found = _detect(path, tables_only=bool(columns))
    if not found and table_folders.table_files(path):
        found = ["table"]  # no column is recognized: `corpus check` lists them, and the user can map them
    if path.is_file():
        found = found[:1]  # any table may be a manifest, so the more specific layouts come first
    if not found and columns and (fixed := _detect(path, tables_only=False)):
        raise CorpusError(
            f"{path}: the layout {' or '.join(map(repr, fixed))} has fixed columns; leave out the mapping of columns "
            "(--columns)"
        )
    if not found:
        raise CorpusError(f"{path}: {describe_unknown(path) or _no_layout(path)}")
    if len(found) > 1:
        raise CorpusError(f"{path}: the layout may be {' or '.join(found)}; choose with --layout")
    return found[0]


def _no_layout(path: Path) -> str:
    hint = table_folders.describe_several(path)
    return f"no known corpus layout{hint}; choose from {', '.join(LAYOUTS)} (--layout)"


def _detect(path: Path, *, tables_only: bool) -> list[str]:
    """Return the layouts of the lowest rank that match."""
    candidates = {name: known for name, known in LAYOUTS.items() if known.tables is not None or not tables_only}
    for rank in sorted({known.rank for known in candidates.values()}):
        if found := [name for name, known in candidates.items() if known.rank == rank and known.matches(path)]:
            return found
    return []
