"""The tables of MIMIC-CXR and MIMIC-CXR-JPG, joined in Arrow to one record per image: 377,110 are no Python objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
"""What may become part of a path."""
_ROWS_AT_ONCE = 1000


def find_table(folder: Path, table: str) -> Path | None:
    """The newest version of one of `NAMES`, packed or not."""
    found = sorted((*folder.glob(NAMES[table]), *folder.glob(f"{NAMES[table]}.gz")))
    return found[-1] if found else None


def read_records(folder: Path, tables: Sequence[str], findings: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One record per image, in the order of subject, study and image.

    Each has subject_id, study_id, dicom_id, split, ViewPosition (None where not known) and every finding.

    Args:
        tables: Of `NAMES`, any of which lists the images; the first that exists is used.
        findings: Columns of the label table.

    Raises:
        CorpusError: none of the tables is there, one is not as PhysioNet has it, an image has no split, a study two.
    """
    listing = next((found for table in tables if (found := find_table(folder, table))), None)
    if listing is None:
        names = " or ".join(f"{NAMES[table]}.gz" for table in tables)
        raise CorpusError(f"{folder}: no table of the images is here; fetch {names} from PhysioNet.")
    records = _check_ids(_read(listing, dict.fromkeys(_IDS, pa.string())), listing)
    records = _join(records, find_table(folder, "split"), "dicom_id", {"split": pa.string()})
    records = _join(records, find_table(folder, "metadata"), "dicom_id", {"ViewPosition": pa.string()})
    if findings:
        records = _join(records, find_table(folder, "chexpert"), "study_id", dict.fromkeys(findings, pa.float32()))
    records = _check_splits(records, folder)
    records = records.sort_by([(name, "ascending") for name in ("subject_id", "study_id", "dicom_id")])
    for batch in records.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _join(records: Any, table: Path | None, key: str, columns: Mapping[str, Any]) -> Any:
    """The records with columns of another table, or without a value in any where it is not there."""
    if table is None:
        for name, kind in columns.items():
            records = records.append_column(name, pa.nulls(len(records), kind))
        return records
    joined = records.join(_read(table, {key: pa.string(), **columns}), key)
    if len(joined) != len(records):
        raise CorpusError(f"{table}: some {key} stands there more than once; fetch the table again.")
    return joined


def _read(table: Path, columns: Mapping[str, Any]) -> Any:
    options = csv.ConvertOptions(include_columns=list(columns), column_types=columns, strings_can_be_null=False)
    try:
        return pa.Table.from_batches(list(csv.open_csv(str(table), convert_options=options)))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CorpusError(f"{table}: not the table that PhysioNet has ({reason}); fetch it again.") from error


def _check_ids(records: Any, table: Path) -> Any:
    for name, pattern in _IDS.items():
        if not pc.all(pc.match_substring_regex(records[name], pattern)).as_py():
            raise CorpusError(f"{table}: a {name} is none of PhysioNet's; fetch the table again.")
    if pc.count_distinct(records["dicom_id"]).as_py() < len(records):
        raise CorpusError(f"{table}: some dicom_id stands there more than once; fetch the table again.")
    return records


def _check_splits(records: Any, folder: Path) -> Any:
    """Everything is train where there is no table of the split."""
    if find_table(folder, "split") is None:
        return records.set_column(records.schema.get_field_index("split"), "split", pa.array(["train"] * len(records)))
    without = records["split"].null_count
    if without:
        raise CorpusError(f"{find_table(folder, 'split')}: {without} images have no split there; fetch it again.")
    splits = records.group_by("study_id").aggregate([("split", "count_distinct")])["split_count_distinct"]
    torn = pc.sum(pc.greater(splits, 1)).as_py()
    if torn:
        raise CorpusError(f"{find_table(folder, 'split')}: {torn} studies are in more than one split; fetch it again.")
    return records
