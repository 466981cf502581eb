"""The rows of a corpus one by one, and the manifest that they are written to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from report_gen.errors import OutputError
from report_gen.files import write_pieces
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingSchema

Row = Mapping[str, Any]
"""A study with the columns of `corpora.corpus_features`."""

SECTIONS = ("indication", "comparison", "findings", "impression")
FILE = "manifest.jsonl"

_BATCH = 256


def rows_of(dataset: Dataset) -> Iterator[Row]:
    """Every row; only a batch of them is in memory."""
    for batch in dataset.iter(batch_size=_BATCH):
        yield from split_batch(batch)


def split_batch(batch: Mapping[str, list[Any]]) -> Iterator[Row]:
    """The rows of a batch of columns."""
    return (dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True))


def manifest_place(folder: Path) -> Path:
    """Where a new manifest of a folder goes.

    Raises:
        OutputError: one is there already: it may be somebody's work, or what is being read.
    """
    place = folder / FILE
    if place.exists():
        raise OutputError(f"{place}: is there already; name another folder, or take it away.")
    return place


def write_manifest(place: Path, rows: Iterable[Row], schema: FindingSchema | None = None) -> None:
    """Rows to a file that `read_corpus` reads back as they are; what else they hold it passes over.

    Images at or below the file's folder are named relative to it, others from the root.

    Args:
        place: The manifest.
        rows: With the columns of `corpora.corpus_features`.
        schema: The findings of the labels; those of chest radiographs if not given.

    Raises:
        OutputError: The file cannot be written.
    """
    folder, findings = place.parent.resolve(), (schema or chest_xray()).findings
    write_pieces(place, (json.dumps(_line(row, folder, findings), ensure_ascii=False) + "\n" for row in rows))


def _line(row: Row, folder: Path, findings: Sequence[str]) -> dict[str, Any]:
    line = {**row, "images": [_name(Path(image), folder) for image in row["images"]]}
    for column, prefix in (("labels", ""), ("soft_labels", "soft ")):
        labels = zip(findings, line.pop(column), strict=True)
        line |= {f"{prefix}{name}": label for name, label in labels if label is not None}
    return line


def _name(image: Path, folder: Path) -> str:
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else str(image)
