"""Annotations by readers that accompany copies of ChestX-ray14: boxes around findings, and adjudicated labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from report_gen.corpora.finding_boxes import FindingBox
from report_gen.corpora.nih_labels import LABEL_SET, NIH_LABELS
from report_gen.corpora.tables import read_csv
from report_gen.errors import CorpusError
from report_gen.records import FindingSchema

BOXES, ADJUDICATED = "boxes.csv", "google_labels.csv"

_FRAME = 1024
"""Side length of the images of ChestX-ray14 in pixels: the frame in which the boxes are given."""
_LABELS = {
    "Infiltrate": "Infiltration",
    "Airspace opacity": "Infiltration",
    "Nodule or mass": "Mass",
}
"""NIH label of each name in these tables that is none itself. A finding has one meaning whatever it is called."""
_ADJUDICATED = ("Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass")
_ANSWERS = {"YES": 1.0, "NO": 0.0}


def read_boxes(path: Path, schema: FindingSchema) -> dict[str, tuple[FindingBox, ...]]:
    """Return the boxes of each image by its stem: the columns `x, y, w, h` in a frame of 1024 pixels.

    Images have any size: the boxes are shares of width and height. Boxes of findings that the schema does not have are
    left out.

    Raises:
        CorpusError: A label is unknown, or a box is not within the image.
    """
    if not path.is_file():
        return {}
    boxes: dict[str, tuple[FindingBox, ...]] = {}
    for row in read_csv(path, columns=("Image Index", "Finding Label", "x", "y", "w", "h")):
        finding = _finding(row["Finding Label"], schema, path)
        if finding is not None:
            stem = Path(row["Image Index"]).stem
            boxes[stem] = (*boxes.get(stem, ()), _box(row, finding, path))
    return boxes


def read_adjudicated(path: Path, schema: FindingSchema) -> dict[str, dict[str, float]]:
    """Return the labels, 1 or 0 by finding, on which several radiologists agreed, for each image by its stem.

    The labels are those of Majkowska et al., Radiology 2020. Findings that the schema does not have are left out.

    Raises:
        CorpusError: An answer is neither YES nor NO.
    """
    if not path.is_file():
        return {}
    names = {name: finding for name in _ADJUDICATED if (finding := _finding(name, schema, path)) is not None}
    labels = {}
    for row in read_csv(path, columns=("Image Index", *_ADJUDICATED)):
        unknown = [row[name] for name in _ADJUDICATED if row[name] not in _ANSWERS]
        if unknown:
            raise CorpusError(f"{path}: the answer {unknown[0]!r} is neither YES nor NO; correct the table")
        labels[Path(row["Image Index"]).stem] = {finding: _ANSWERS[row[name]] for name, finding in names.items()}
    return labels


def _finding(name: str, schema: FindingSchema, path: Path) -> str | None:
    """Return the finding of a name in a table; None if the schema does not have it."""
    label = _LABELS.get(name, name)
    if label in NIH_LABELS:
        return schema.mappings.get(LABEL_SET, {}).get(label)
    if name not in _ADJUDICATED:
        raise CorpusError(f"{path}: unknown label {name!r}; correct the table")
    return schema.resolve_name(name)


def _box(row: Mapping[str, str], finding: str, path: Path) -> FindingBox:
    try:
        x, y, width, height = (float(row[name]) / _FRAME for name in "xywh")
    except ValueError:
        x = y = width = height = float("nan")
    box = FindingBox(finding, x, y, x + width, y + height)
    if not box.is_valid:
        raise CorpusError(
            f"{path}: a box of {row['Image Index']} is not within the image of {_FRAME} x {_FRAME} pixels; correct the "
            "table"
        )
    return box
