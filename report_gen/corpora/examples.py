"""Example: one study of a corpus, the same record from every layout, and the columns it becomes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter

from report_gen.errors import OutputError
from report_gen.records.report import ATTRIBUTES, FINDINGS

SPLITS = ("train", "val", "test")
SILENT: tuple[float | None, ...] = (None,) * len(FINDINGS)
"""The labels of a study about whose findings the corpus says nothing."""

FEATURES = Features(
    {
        "study_id": Value("string"),
        "patient_id": Value("string"),
        "images": List(Value("string")),
        "view_positions": List(Value("string")),
        "indication": Value("string"),
        "comparison": Value("string"),
        "findings": Value("string"),
        "impression": Value("string"),
        "labels": List(Value("float32"), length=len(FINDINGS)),
        "soft_labels": List(Value("float32"), length=len(FINDINGS)),
        **dict.fromkeys(ATTRIBUTES, Value("string")),
        "split": Value("string"),
    }
)

_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Example:
    """One study. A text without an image has no `images`, an image without a text has empty strings."""

    study_id: str
    patient_id: str = ""
    """Empty when the corpus does not tell."""
    images: tuple[str, ...] = ()
    """Absolute paths, in the order of the corpus: the first is not always the frontal view."""
    view_positions: tuple[str, ...] = ()
    """Values of `ViewPosition`, parallel to `images`; UNKNOWN where the corpus does not tell."""
    indication: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""
    labels: tuple[float | None, ...] = SILENT
    """1 or 0 in the order of `FINDINGS`; None where the corpus says nothing."""
    soft_labels: tuple[float | None, ...] = SILENT
    """0..1 from another model in the order of `FINDINGS`; None where there is none."""
    modality: str = ""
    """Of all its images, as `value_of_term` has it; empty where the corpus does not tell, or they differ."""
    plane: str = ""
    """The same of the imaging plane."""
    body_part: str = ""
    """The same of the region."""
    split: str = "train"


def build_dataset(examples: Iterable[Example], file: Path | None = None) -> Dataset:
    """The examples as a table, in memory or memory-mapped from an Arrow `file`; never in a cache of `datasets`.

    They are taken one by one and written a thousand at a time, so with a file memory does not grow with their number.
    The file appears whole: an older one stands until then, and a table that is mapped from it stays sound.

    Raises:
        OutputError: the file cannot be written; nothing of it is left.
    """
    if file is None:
        sink = pa.BufferOutputStream()
        _write(examples, sink)
        return Dataset.from_buffer(sink.getvalue())
    temporary = file.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as sink:
                _write(examples, sink)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{file}: cannot be written ({reason}); free the disk or name another store.") from error
    return Dataset.from_file(str(file))


def _write(examples: Iterable[Example], sink: Any) -> None:
    with ArrowWriter(features=FEATURES, stream=sink) as writer:
        for rows in _batches(vars(example) for example in examples):
            writer.write_table(pa.Table.from_pylist(rows, schema=FEATURES.arrow_schema))
        writer.finalize(close_stream=False)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        yield batch


def without_missing_images(example: Example) -> Example:
    """The example with only those images that are there."""
    there = [pair for pair in zip(example.images, example.view_positions, strict=True) if is_file(pair[0])]
    if len(there) == len(example.images):
        return example
    return replace(example, images=tuple(i for i, _ in there), view_positions=tuple(v for _, v in there))


def is_file(place: Path | str) -> bool:
    return os.path.isfile(place)  # noqa: PTH113 - Path.is_file raises where a name is too long to be one


_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_name(text: str) -> str:
    """train, val or test for how a corpus calls it; unknown words stay as they are and are refused later."""
    return _SPLITS.get(text.strip().lower(), text)
