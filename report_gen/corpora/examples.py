"""Record of one study of a corpus, equal for every layout, and the table that is built from the records."""

from __future__ import annotations

import mmap
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import compress, islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar

import pyarrow as pa
from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter

from report_gen.corpora.finding_boxes import FindingBox, boxes_of_kept_images
from report_gen.files import output_error
from report_gen.labeling import chest_xray
from report_gen.records import ATTRIBUTES, FindingSchema, ViewOffset

T = TypeVar("T")

SPLITS = ("train", "val", "test")

OFFSET_COLUMNS = tuple(f"offsets_{unit}" for unit in ViewOffset._fields)
"""Columns with the offsets of the images of a study, in the order of `ViewOffset`."""
IMAGE_COLUMNS = ("images", "view_positions", *OFFSET_COLUMNS, "is_prior")
"""Columns with one value for each image of a study; those of the offsets are empty if no offset is known, and
`is_prior` is empty if no image is of the prior study."""
ORDER_COLUMNS = ("study_description", "admitting_diagnoses")
"""Columns with texts of the order, besides the indication; prompts have placeholders of these names."""

_BOX = {
    "finding": Value("string"),
    **dict.fromkeys(("left", "top", "right", "bottom"), Value("float32")),
    "image": Value("int32"),
}
"""Columns of a box, as in `FindingBox`."""


def corpus_features(schema: FindingSchema) -> Features:
    """Return the columns of a corpus. `labels` and `soft_labels` [F] are in the order of the schema's findings."""
    labels = List(Value("float32"), length=len(schema.findings))
    return Features(
        {
            "study_id": Value("string"),
            "patient_id": Value("string"),
            "images": List(Value("string")),
            "view_positions": List(Value("string")),
            **dict.fromkeys(OFFSET_COLUMNS, List(Value("float64"))),
            "is_prior": List(Value("bool")),
            "prior_report": Value("string"),
            **dict.fromkeys(ORDER_COLUMNS, Value("string")),
            "indication": Value("string"),
            "comparison": Value("string"),
            "findings": Value("string"),
            "impression": Value("string"),
            "labels": labels,
            "soft_labels": labels,
            "adjudicated_findings": List(Value("string")),
            "finding_boxes": List(_BOX),
            "source": Value("string"),
            "stored_px": Value("int32"),
            **dict.fromkeys(ATTRIBUTES, Value("string")),
            "split": Value("string"),
        }
    )


_BATCH_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class Example:
    """One study of a corpus. A study may have no images, or empty texts."""

    study_id: str
    patient_id: str = ""
    """Empty if the corpus does not specify it."""
    images: tuple[str, ...] = ()
    """Absolute paths in the order of the corpus. The first image is not always the frontal view."""
    view_positions: tuple[str, ...] = ()
    """Value of `ViewPosition` for each image; UNKNOWN if the corpus does not specify it."""
    offsets_mm: tuple[float | None, ...] = ()
    """`ViewOffset.mm` of each image, None where it is not known; empty if it is known for none."""
    offsets_seconds: tuple[float | None, ...] = ()
    """`ViewOffset.seconds` of each image, as for the millimeters."""
    offsets_days: tuple[float | None, ...] = ()
    """`ViewOffset.days` of each image, as for the millimeters."""
    is_prior: tuple[bool | None, ...] = ()
    """Whether each image is of the prior study; empty if none is."""
    prior_report: str = ""
    """Report of the prior study, in any words."""
    study_description: str = ""
    """DICOM Study Description."""
    admitting_diagnoses: str = ""
    """DICOM Admitting Diagnoses Description."""
    indication: str = ""
    comparison: str = ""
    findings: str = ""
    impression: str = ""
    labels: Mapping[str, float] = field(default_factory=dict)
    """By finding, 1 or 0; findings that the corpus does not label are missing."""
    soft_labels: Mapping[str, float] = field(default_factory=dict)
    """By finding, the probability 0..1 that another model gives; findings without one are missing."""
    adjudicated_findings: tuple[str, ...] = ()
    """Findings whose label several readers agreed on. Such a label is not mixed with soft labels."""
    finding_boxes: tuple[FindingBox, ...] = ()
    """Boxes around findings. A finding without a box may be present all the same."""
    source: str = ""
    """Part of the corpus that the study comes from, such as a hospital or a published selection; empty if unknown."""
    stored_px: int = 0
    """Side length in pixels to which the images were reduced before they became part of the corpus; 0 if unknown."""
    modality: str = ""
    """Modality of all images, as `value_of_term` writes it; empty if it is unknown or the images differ."""
    plane: str = ""
    """Imaging plane of all images, as for the modality."""
    body_part: str = ""
    """Body part of all images, as for the modality."""
    split: str = "train"


def build_dataset(
    examples: Iterable[Example], folder: Path | None = None, *, schema: FindingSchema | None = None
) -> Dataset:
    """Build a table of examples, in memory or memory-mapped from an Arrow file. The cache of `datasets` is not used.

    Examples are written a thousand at a time, so that with a file the memory does not grow with their number. The file
    contains reports of patients, so it never has a name, where the system supports that: nothing is left of it when
    the process ends, even if it is killed.

    Args:
        examples: The studies.
        folder: Folder on whose disk the table is written. Default: the table is in memory.
        schema: Findings in the order of the labels. Default: the findings of chest radiographs.

    Raises:
        OutputError: The table cannot be written.
    """
    schema = schema or chest_xray()
    if folder is None:
        buffer = pa.BufferOutputStream()
        _write(examples, buffer, schema)
        return Dataset.from_buffer(buffer.getvalue())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as file:
            _write(examples, file, schema)
            file.flush()
            table = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise output_error(folder, error) from error
    # Without a fingerprint `datasets` would serialize the whole table to compute one.
    return Dataset(pa.ipc.open_stream(pa.py_buffer(table)).read_all(), fingerprint=secrets.token_hex(8))


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
        "finding_boxes": [box._asdict() for box in example.finding_boxes],
    }


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(islice(rows, _BATCH_ROWS)):
        yield batch


def without_missing_images(example: Example) -> Example:
    """Return the example without the images whose files are missing."""
    existing = [is_file(image) for image in example.images]
    if all(existing):
        return example
    kept: dict[str, Any] = {name: tuple(compress(getattr(example, name), existing)) for name in IMAGE_COLUMNS}
    return replace(example, **kept, finding_boxes=tuple(boxes_of_kept_images(example.finding_boxes, existing)))


def per_image(values: Iterable[T | None]) -> tuple[T | None, ...]:
    """Return the values of the images of a study; empty if none is known."""
    listed = tuple(values)
    return listed if any(value is not None for value in listed) else ()


def own_and_prior_images(row: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the indices of the images of the study itself, and of those of its prior study."""
    flags = row.get("is_prior") or (False,) * len(row["images"])
    return (
        tuple(index for index, is_prior in enumerate(flags) if not is_prior),
        tuple(index for index, is_prior in enumerate(flags) if is_prior),
    )


def offsets_of_row(row: Mapping[str, Any]) -> tuple[ViewOffset | None, ...]:
    """Return the offset of each image of a row; None for an image of which the corpus states none."""
    columns = (row.get(name) or (None,) * len(row["images"]) for name in OFFSET_COLUMNS)
    stated = [
        {unit: value for unit, value in zip(ViewOffset._fields, values, strict=True) if value is not None}
        for values in zip(*columns, strict=True)
    ]
    return tuple(ViewOffset(**known) if known else None for known in stated)


def is_of_source(source: str, name: str) -> bool:
    """Return whether a source has this name: its whole value, or the part before the first `/`."""
    return name in (source, source.partition("/")[0])


SYNTHETIC = "synthetic"
"""Source of synthetic images, which are training data only."""


def is_synthetic(source: str) -> bool:
    """Return whether a source is that of synthetic images."""
    return is_of_source(source, SYNTHETIC)


def is_file(path: Path | str) -> bool:
    """Return whether a file exists."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises if the name is too long for the file system


_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def split_name(text: str) -> str:
    """Return train, val or test for the name that a corpus gives a split. Other names are returned unchanged."""
    return _SPLITS.get(text.strip().lower(), text)
