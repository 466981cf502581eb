"""Example: one study of a corpus, the same record from every layout, and the columns it becomes."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter

from report_gen.errors import OutputError
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingSchema
from report_gen.records.report import ATTRIBUTES
from report_gen.records.study import ViewPosition

SPLITS = ("train", "val", "test")


def corpus_features(schema: FindingSchema) -> Features:
    """Return the columns of a corpus; `labels` and `soft_labels` [F] are in the order of the schema's findings."""
    labels = List(Value("float32"), length=len(schema.findings))
    return Features(
        {
            "study_id": Value("string"),
            "patient_id": Value("string"),
            "images": List(Value("string")),
            "view_positions": List(Value("string")),
            "indication": Value("string"),
            "comparison": Value("string"),
            "findings": Value("string"),
            "impression": Value("string"),
            "labels": labels,
            "soft_labels": labels,
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
    labels: Mapping[str, float] = field(default_factory=dict)
    """1 or 0 by finding, for those that the corpus specifies."""
    soft_labels: Mapping[str, float] = field(default_factory=dict)
    """0..1 from another model by finding, for those that have one."""
    modality: str = ""
    """Of all its images, as `value_of_term` has it; empty where the corpus does not tell, or they differ."""
    plane: str = ""
    """The same of the imaging plane."""
    body_part: str = ""
    """The same of the region."""
    split: str = "train"


def build_dataset(
    examples: Iterable[Example], file: Path | None = None, *, schema: FindingSchema | None = None
) -> Dataset:
    """The examples as a table, in memory or memory-mapped from an Arrow `file`; never in a cache of `datasets`.

    They are taken one by one and written a thousand at a time, so with a file memory does not grow with their number.
    The file appears whole: an older one stands until then, and a table that is mapped from it stays sound.

    Args:
        examples: The studies.
        file: Where the table is written; in memory if not given.
        schema: Order of the labels; the findings of chest radiographs if not given.

    Raises:
        OutputError: the file cannot be written; nothing of it is left.
    """
    schema = schema or chest_xray()
    if file is None:
        sink = pa.BufferOutputStream()
        _write(examples, sink, schema)
        return Dataset.from_buffer(sink.getvalue())
    temporary = file.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as sink:
                _write(examples, sink, schema)
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"{file}: cannot be written ({reason}); free the disk or name another store.") from error
    return Dataset.from_file(str(file))


def _write(examples: Iterable[Example], sink: Any, schema: FindingSchema) -> None:
    features = corpus_features(schema)
    with ArrowWriter(features=features, stream=sink) as writer:
        for rows in _batches(_to_row(example, schema) for example in examples):
            writer.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema))
        writer.finalize(close_stream=False)


def _to_row(example: Example, schema: FindingSchema) -> dict[str, Any]:
    return vars(example) | {
        "labels": list(map(example.labels.get, schema.findings)),
        "soft_labels": list(map(example.soft_labels.get, schema.findings)),
    }


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


_VIEWS = {
    **{view.value: view for view in ViewPosition},
    **dict.fromkeys(("AP SUPINE", "AP ERECT", "AP AXIAL"), ViewPosition.AP),
    **dict.fromkeys(("L", "LL", "RL", "LAT"), ViewPosition.LATERAL),
    **dict.fromkeys(("LLD", "RLD"), ViewPosition.DECUBITUS),
    **dict.fromkeys(("LAO", "RAO", "LPO", "RPO"), ViewPosition.OBLIQUE),
}


def view_position(text: str) -> str:
    """The value of `ViewPosition` for how a corpus calls it; unknown words are UNKNOWN."""
    return _VIEWS.get(" ".join(text.upper().replace("_", " ").split()), ViewPosition.UNKNOWN).value


_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_name(text: str) -> str:
    """train, val or test for how a corpus calls it; unknown words stay as they are and are refused later."""
    return _SPLITS.get(text.strip().lower(), text)
