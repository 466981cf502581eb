"""A `datasets` folder, as `Dataset.save_to_disk` or `DatasetDict.save_to_disk` leaves it, with a manifest's columns.

Its images are paths, relative to the folder, or embedded; embedded ones are written to the store once, by content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, DatasetDict, load_from_disk

from report_gen.corpora.examples import Example, split_name
from report_gen.corpora.manifest import SYNONYMS, columns, example_of_row, label_columns, study_id
from report_gen.corpora.study_rows import join_rows
from report_gen.errors import CorpusError
from report_gen.files import write_atomically
from report_gen.records.findings import FindingSchema

FILES = ("dataset_dict.json", "dataset_info.json")
IMAGES = "images"

_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"II*\0": ".tif", b"MM\0*": ".tif"}
_ROWS_AT_ONCE = 100


def matches(path: Path) -> bool:
    return (path / FILES[0]).is_file() or ((path / FILES[1]).is_file() and (path / "state.json").is_file())


def read(path: Path, store: Path | None, schema: FindingSchema) -> Iterator[Example]:
    """Examples of a saved dataset, or of all splits of a saved DatasetDict by their names.

    Raises:
        CorpusError: it is no such folder, lacks columns as a manifest would, or embeds images and there is no store.
    """
    splits = _load(path)
    ids = (
        study_id(row, place)
        for place, row in _rows(path, {name: _select(split, SYNONYMS["study_id"]) for name, split in splits.items()})
    )
    folder = path.resolve()
    rows = _rows(path, {name: _select(split, columns(schema)) for name, split in splits.items()})
    labels = label_columns(schema)
    return join_rows(ids, ((place, _example(row, folder, store, place, labels)) for place, row in rows))


def _load(path: Path) -> Mapping[str, Dataset]:
    """The parts by their name; a dataset without parts has an empty one."""
    try:
        loaded = load_from_disk(str(path), keep_in_memory=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise CorpusError(
            f"{path}: not a folder that save_to_disk of `datasets` wrote whole; save it again."
        ) from error
    return loaded if isinstance(loaded, DatasetDict) else {"": loaded}


def _select(split: Dataset, names: tuple[str, ...]) -> Dataset:
    return split.select_columns([column for column in split.column_names if column.strip().lower() in names])


def _rows(path: Path, splits: Mapping[str, Dataset]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with lower-case names and undecoded images, each with words that name its place."""
    for name, split in splits.items():
        number = 0
        for table in split.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE):
            for row in table.to_pylist():
                number += 1
                named = {column.strip().lower(): value for column, value in row.items()}
                yield f"{path}: row {number} of {name or 'the dataset'}", {"split": name, **_known(named)}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {column: value for column, value in row.items() if column != "split" or value}


def _example(
    row: dict[str, Any], folder: Path, store: Path | None, place: str, labels: Mapping[str, tuple[str, ...]]
) -> Example:
    column = next((name for name in SYNONYMS["images"] if row.get(name)), None)
    images = [] if column is None else row[column]
    if column is not None:
        listed = images if isinstance(images, list) else [images]
        row = row | {column: [_image(image, store, place) for image in listed]}
    return example_of_row(row | {"split": split_name(str(row["split"]))}, folder, place, labels)


def _image(image: Any, store: Path | None, place: str) -> Any:
    """The path of an image: its own, or that of its bytes in the store."""
    data = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(data, bytes):
        return image.get("path") if isinstance(image, dict) else image
    if store is None:
        raise CorpusError(f"{place}: its images are embedded, so they need a folder to be written to; name a store.")
    suffix = next((suffix for head, suffix in _SUFFIXES.items() if data.startswith(head)), ".dcm")
    file = store.resolve() / IMAGES / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    if not file.exists():
        write_atomically(file, data)
    return str(file)
