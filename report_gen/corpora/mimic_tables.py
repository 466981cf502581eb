"""Join the tables of MIMIC-CXR and MIMIC-CXR-JPG in Arrow, without Python objects for the 377,110 images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from report_gen.errors import CorpusError

NAMES: Mapping[str, str] = {
    "record-list": "cxr-record-list.csv",
    "metadata": "mimic-cxr-2.*-metadata.csv",
    "split": "mimic-cxr-2.*-split.csv",
    "chexpert": "mimic-cxr-2.*-chexpert.csv",
}

_IDS = {"subject_id": r"^\d{2,16}$", "study_id": r"^\d{1,16}$", "dicom_id": r"^[0-9A-Za-z-]+$"}
"""Patterns of identifiers, which become parts of paths."""
_BATCH_ROWS = 1000
_MOST_ROWS = 4_000_000
"""Most rows of a table, ten times those of MIMIC-CXR. A compressed table of megabytes may have billions."""


def find_table(folder: Path, table: str) -> Path | None:
    """Return the newest version of a table of `NAMES`, compressed or not; None if there is none."""
    found = sorted((*folder.glob(NAMES[table]), *folder.glob(f"{NAMES[table]}.gz")))
    return found[-1] if found else None


def read_records(folder: Path, tables: Sequence[str], findings: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield one record per image, in the order of subject, study and image.

    Each record has subject_id, study_id, dicom_id, split, ViewPosition (None if unknown) and every finding.

    Args:
        folder: Folder of the tables.
        tables: Keys of `NAMES`. The first table that exists lists the images.
        findings: Columns of the label table.

    Raises:
        CorpusError: No table is found, a table differs from that of PhysioNet, an image has no split, or a study two.
    """
    listing = next((found for table in tables if (found := find_table(folder, table))), None)
    if listing is None:
        names = " or ".join(f"{NAMES[table]}.gz" for table in tables)
        raise CorpusError(f"{folder}: no table of the images found; download {names} from PhysioNet")
    records = _check_ids(_read(listing, dict.fromkeys(_IDS, pa.string())), listing)
    records = _join(records, find_table(folder, "split"), "dicom_id", {"split": pa.string()})
    records = _join(records, find_table(folder, "metadata"), "dicom_id", {"ViewPosition": pa.string()})
    if findings:
        records = _join(records, find_table(folder, "chexpert"), "study_id", dict.fromkeys(findings, pa.float32()))
    records = _check_splits(records, folder)
    records = records.sort_by([(name, "ascending") for name in ("subject_id", "study_id", "dicom_id")])
    for batch in records.to_batches(max_chunksize=_BATCH_ROWS):
        yield from batch.to_pylist()


def _join(records: Any, table: Path | None, key: str, columns: Mapping[str, Any]) -> Any:
    """Add columns of another table to the records; without the table their values are null."""
    if table is None:
        for name, kind in columns.items():
            records = records.append_column(name, pa.nulls(len(records), kind))
        return records
    joined = records.join(_read(table, {key: pa.string(), **columns}), key)
    if len(joined) != len(records):
        raise CorpusError(f"{table}: a {key} occurs more than once; download the table again")
    return joined


def _read(table: Path, columns: Mapping[str, Any]) -> Any:
    options = csv.ConvertOptions(include_columns=list(columns), column_types=columns, strings_can_be_null=False)
    try:
        with csv.open_csv(str(table), convert_options=options) as reader:
            return pa.Table.from_batches(_bounded(reader, table), reader.schema)
    except MemoryError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(f"{table}: differs from the table of PhysioNet ({reason}); download it again") from error


def _bounded(batches: Iterable[Any], table: Path) -> Iterator[Any]:
    """Yield batches as long as they have no more than `_MOST_ROWS` together."""
    rows = 0
    for batch in batches:
        rows += len(batch)
        if rows > _MOST_ROWS:
            raise CorpusError(f"{table}: has more than {_MOST_ROWS} rows; download the table again")
        yield batch


def _check_ids(records: Any, table: Path) -> Any:
    for name, pattern in _IDS.items():
        if not pc.all(pc.match_substring_regex(records[name], pattern)).as_py():
            raise CorpusError(f"{table}: a {name} does not have the format of PhysioNet; download the table again")
    if pc.count_distinct(records["dicom_id"]).as_py() < len(records):
        raise CorpusError(f"{table}: a dicom_id occurs more than once; download the table again")
    return records


def _check_splits(records: Any, folder: Path) -> Any:
    """Check that every study is in one split. Without a table of splits, all studies are in train."""
    if find_table(folder, "split") is None:
        return records.set_column(records.schema.get_field_index("split"), "split", pa.array(["train"] * len(records)))
    missing = records["split"].null_count
    if missing:
        raise CorpusError(f"{find_table(folder, 'split')}: {missing} images have no split; download the table again")
    splits = records.group_by("study_id").aggregate([("split", "count_distinct")])["split_count_distinct"]
    repeated = pc.sum(pc.greater(splits, 1)).as_py()
    if repeated:
        raise CorpusError(
            f"{find_table(folder, 'split')}: {repeated} studies are in more than one split; download the table again"
        )
    return records
