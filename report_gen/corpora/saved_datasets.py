"""Layout `hf`: a folder written by `Dataset.save_to_disk` or `DatasetDict.save_to_disk`, with columns of a manifest.

Images are paths relative to the folder, or embedded. Embedded images are written to the store under their SHA-256.
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
from report_gen.records import FindingSchema

FILES = ("dataset_dict.json", "dataset_info.json")
IMAGES = "images"

_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"II*\0": ".tif", b"MM\0*": ".tif"}
_BATCH_ROWS = 100


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return (path / FILES[0]).is_file() or ((path / FILES[1]).is_file() and (path / "state.json").is_file())


def read(path: Path, store: Path | None, schema: FindingSchema) -> Iterator[Example]:
    """Yield the studies of a saved dataset, or of all splits of a saved DatasetDict.

    Raises:
        CorpusError: The folder has another format, lacks a column, or embeds images and there is no store.
    """
    splits = _load(path)
    ids = (
        study_id(row, location)
        for location, row in _rows(path, {name: _select(split, SYNONYMS["study_id"]) for name, split in splits.items()})
    )
    folder = path.resolve()
    rows = _rows(path, {name: _select(split, columns(schema)) for name, split in splits.items()})
    labels = label_columns(schema)
    return join_rows(ids, ((location, _example(row, folder, store, location, labels)) for location, row in rows))


def _load(path: Path) -> Mapping[str, Dataset]:
    """Return the datasets by split; a dataset without splits has the name ""."""
    try:
        loaded = load_from_disk(str(path), keep_in_memory=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
        raise CorpusError(f"{path}: not a complete folder of save_to_disk of `datasets`; save it again") from error
    return loaded if isinstance(loaded, DatasetDict) else {"": loaded}


def _select(split: Dataset, names: tuple[str, ...]) -> Dataset:
    return split.select_columns([column for column in split.column_names if column.strip().lower() in names])


def _rows(path: Path, splits: Mapping[str, Dataset]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (location, row) with column names in lower case and undecoded images."""
    for name, split in splits.items():
        number = 0
        for table in split.with_format("arrow").iter(batch_size=_BATCH_ROWS):
            for row in table.to_pylist():
                number += 1
                named = {column.strip().lower(): value for column, value in row.items()}
                yield f"{path}: row {number} of {name or 'the dataset'}", {"split": name, **_known(named)}


def _known(row: dict[str, Any]) -> dict[str, Any]:
    return {column: value for column, value in row.items() if column != "split" or value}


def _example(
    row: dict[str, Any], folder: Path, store: Path | None, location: str, labels: Mapping[str, tuple[str, ...]]
) -> Example:
    column = next((name for name in SYNONYMS["images"] if row.get(name)), None)
    images = [] if column is None else row[column]
    if column is not None:
        listed = images if isinstance(images, list) else [images]
        row = row | {column: [_image(image, store, location) for image in listed]}
    return example_of_row(row | {"split": split_name(str(row["split"]))}, folder, location, labels)


def _image(image: Any, store: Path | None, location: str) -> Any:
    """Return the path of an image. An embedded image is written to the store."""
    data = image.get("bytes") if isinstance(image, dict) else image
    if not isinstance(data, bytes):
        return image.get("path") if isinstance(image, dict) else image
    if store is None:
        raise CorpusError(f"{location}: the images are embedded and need a folder to be written to; give a store")
    suffix = next((suffix for head, suffix in _SUFFIXES.items() if data.startswith(head)), ".dcm")
    file = store.resolve() / IMAGES / f"{hashlib.sha256(data).hexdigest()}{suffix}"
    if not file.exists():
        write_atomically(file, data)
    return str(file)
