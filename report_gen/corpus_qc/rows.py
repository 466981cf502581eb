"""Read the rows of a corpus in batches, and write them to a manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset

from report_gen.corpora import IMAGE_COLUMNS, IMAGES, FindingBox, boxes_of_kept_images, is_file
from report_gen.errors import OutputError
from report_gen.files import check_writable_folder, remove_temporary_files, write_pieces
from report_gen.labeling import chest_xray
from report_gen.records import FindingSchema

Row = Mapping[str, Any]
"""A study with the columns of `corpora.corpus_features`."""

SECTIONS = ("indication", "comparison", "findings", "impression")
MANIFEST = "manifest.jsonl"

_BATCH_ROWS = 256


def rows_of(dataset: Dataset) -> Iterator[Row]:
    """Yield every row of a dataset, with one batch in memory."""
    for batch in dataset.iter(batch_size=_BATCH_ROWS):
        yield from split_batch(batch)


def split_batch(batch: Mapping[str, list[Any]]) -> Iterator[Row]:
    """Yield the rows of a batch of columns."""
    return (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))


def leave_out_missing(dataset: Dataset) -> tuple[Dataset, int, int]:
    """Leave out missing images, and studies of which no image is left; studies that list no image are kept.

    Returns:
        The other studies, the number of missing images, and the number of studies that are left out.
    """
    missing, dropped, kept = 0, 0, []
    for row in rows_of(dataset):
        exists = [is_file(image) for image in row["images"]]
        missing += exists.count(False)
        if exists and not any(exists):
            dropped += 1
            continue
        columns = {name: list(compress(row[name], exists)) for name in IMAGE_COLUMNS}
        boxes = boxes_of_kept_images((FindingBox(**box) for box in row["finding_boxes"]), exists)
        kept.append({**row, **columns, "finding_boxes": [box._asdict() for box in boxes]})
    table = pa.Table.from_pylist(kept, schema=dataset.features.arrow_schema)
    return Dataset(table), missing, dropped


def new_manifest_path(folder: Path) -> Path:
    """Return the path of a new manifest in a folder. Unfinished files of commands that were killed are removed.

    No other process may write to the folder meanwhile.

    Raises:
        OutputError: The folder contains a manifest, which may be the user's own or the one that is read; or an
            unfinished file cannot be removed, or the folder takes no files.
    """
    path = folder / MANIFEST
    check_writable_folder(folder)
    if path.exists():
        raise OutputError(f"{path}: the file exists; choose another folder, or remove it")
    for written in (folder, folder / IMAGES):
        remove_temporary_files(written)
    return path


def write_manifest(path: Path, rows: Iterable[Row], schema: FindingSchema | None = None) -> None:
    """Write rows to a manifest, which `read_corpus` reads back unchanged. Other columns are written as well.

    Images at or below the folder of the manifest get relative paths, others absolute paths.

    Args:
        path: The manifest.
        rows: Rows with the columns of `corpora.corpus_features`.
        schema: The findings of the labels. Default: those of chest radiographs.

    Raises:
        OutputError: The file cannot be written.
    """
    folder, findings = path.parent.resolve(), (schema or chest_xray()).findings
    write_pieces(path, (json.dumps(_line(row, folder, findings), ensure_ascii=False) + "\n" for row in rows))


def _line(row: Row, folder: Path, findings: Sequence[str]) -> dict[str, Any]:
    line = {**row, "images": [_relative_name(Path(image), folder) for image in row["images"]]}
    for column, prefix in (("labels", ""), ("soft_labels", "soft ")):
        labels = zip(findings, line.pop(column), strict=True)
        line |= {f"{prefix}{name}": label for name, label in labels if label is not None}
    return line


def _relative_name(image: Path, folder: Path) -> str:
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else str(image)
