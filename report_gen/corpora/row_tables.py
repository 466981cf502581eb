"""Read tables of rows with any column names: the common part of the layouts that are a table of the user."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report_gen.corpora.columns import FIELDS_OF_USERS, ColumnMapping, ColumnUse, list_names, match_columns
from report_gen.corpora.examples import Example
from report_gen.corpora.image_paths import ImageFinder
from report_gen.corpora.row_examples import example_of_row, images_of_row, study_id_of_row
from report_gen.corpora.study_rows import join_rows
from report_gen.corpora.tables import read_csv, read_json_rows
from report_gen.errors import CorpusError
from report_gen.records import FindingSchema

Row = dict[str, Any]

DELIMITED_SUFFIXES = (".csv", ".tsv", ".tab")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, kw_only=True)
class RowTable:
    """One table of a corpus."""

    source: Path
    """File or folder, for messages."""
    folder: Path
    """Folder to which image names are relative."""
    rows: Callable[[Collection[str] | None], Iterable[Row]]
    """Returns the rows anew; columns that are not in the collection may be left out, None stands for all columns."""
    names: Callable[[], Iterable[str]]
    """Returns the names of all columns."""
    split: str = ""
    """Split of rows that do not specify it; empty for train."""
    prefix: str = ""
    """Folder of the table below the corpus, such as `train/`; study ids that are made of image names begin with it."""
    own_ids: bool = False
    """Whether study ids are unique in this table only, so that the prefix is part of every id."""


def file_table(file: Path, *, folder: Path | None = None, split: str = "", prefix: str = "") -> RowTable:
    """Return the table in a delimited file, in JSON lines, or in a JSON file with an array of objects."""
    read = read_csv if file.suffix.lower() in DELIMITED_SUFFIXES else read_json_rows
    return RowTable(
        source=file,
        folder=(folder or file.parent).resolve(),
        rows=lambda _columns: read(file),
        names=lambda: names_of_rows(read(file)) if read is read_json_rows else next(iter(read(file)), {}),
        split=split,
        prefix=prefix,
    )


def names_of_rows(rows: Iterable[Row]) -> dict[str, None]:
    """Return the names of all columns of rows that need not have the same ones, in their order."""
    return {name: None for row in rows for name in row}


def describe_columns(
    tables: Sequence[RowTable], schema: FindingSchema, mapping: ColumnMapping | None = None
) -> ColumnUse:
    """Return how the columns of all tables of a corpus are used.

    Raises:
        UsageError, CorpusError: See `match_columns`; CorpusError also if no column gives an image, a text or a label.
    """
    names = {name: None for table in tables for name in table.names()}
    use = match_columns(names, schema, mapping, source=tables[0].source)
    if names and not use.has_content:
        raise CorpusError(
            f"{tables[0].source}: no column is recognized as an image, a report or a finding; its columns are "
            f"{list_names(list(names))}; name them with --columns FIELD=COLUMN, such as "
            f"image=NAME,report=NAME (fields: {FIELDS_OF_USERS})"
        )
    return use


def read_tables(
    tables: Sequence[RowTable],
    schema: FindingSchema,
    mapping: ColumnMapping | None = None,
    *,
    store: Path | None = None,
) -> Iterator[Example]:
    """Yield the studies of tables. Rows with the same study id are joined in their order.

    Without a column of study ids every row is a study, named after its first image, or else by its number.

    Args:
        tables: The tables of one corpus.
        schema: The findings of the labels.
        mapping: Columns that the user chose.
        store: Folder for embedded images.

    Raises:
        UsageError: The mapping names an unknown field.
        CorpusError: A column of the mapping is missing, a row is faulty, or rows of one study contradict each other.
    """
    use = describe_columns(tables, schema, mapping)
    readers = [_TableReader(table, use, schema, ImageFinder(table.folder, store)) for table in tables]
    ids = (study_id for reader in readers for study_id in reader.study_ids())
    return join_rows(ids, (located for reader in readers for located in reader.examples()))


class _TableReader:
    """Reads the rows of one table."""

    def __init__(self, table: RowTable, use: ColumnUse, schema: FindingSchema, finder: ImageFinder) -> None:
        self._table, self._use, self._schema, self._finder = table, use, schema, finder

    def study_ids(self) -> Iterator[str]:
        """Yield the study id of each row."""
        identifying = self._use.fields.get("study_id") or self._use.fields.get("images") or ()
        for number, row in enumerate(self._table.rows(identifying), start=1):
            yield self._study_id(row, number)

    def examples(self) -> Iterator[tuple[str, Example]]:
        """Yield the location of each row, for error messages, and its study."""
        for number, row in enumerate(self._table.rows(self._use.columns), start=1):
            location = self._location(number)
            yield (
                location,
                example_of_row(
                    row,
                    self._use,
                    location,
                    study_id=self._study_id(row, number),
                    find=self._finder.find,
                    split=self._table.split,
                    schema=self._schema,
                ),
            )

    def _location(self, number: int) -> str:
        return f"{self._table.source}: row {number}"

    def _study_id(self, row: Row, number: int) -> str:
        location = self._location(number)
        if self._use.has("study_id"):
            study_id = study_id_of_row(row, self._use, location)
            if not study_id:
                raise CorpusError(f"{location} has no study id; add one, or remove the whole column")
            return self._table.prefix + study_id if self._table.own_ids else study_id
        images = images_of_row(row, self._use, location)
        name = self._finder.name_of(images[0], location) if images else ""
        return self._table.prefix + (name or f"{self._table.source.stem}-{self._table.split or 'row'}-{number}")
