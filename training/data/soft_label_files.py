"""Tables of soft labels: the probabilities that another model gives for the findings of each image."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from report_gen.errors import RecipeError
from report_gen.files import write_atomically
from report_gen.records import FindingSchema

IMAGE = "image"
"""Column with the name of the image; folders and suffix do not count."""


def write_soft_labels(
    path: Path, images: Iterable[str], findings: Sequence[str], probabilities: NDArray[np.float64]
) -> None:
    """Write a table that `read_soft_labels` reads.

    Args:
        path: The CSV file.
        images: Names of n images.
        findings: Names of the F findings.
        probabilities: [n,F], NaN where there is none.

    Raises:
        OutputError: The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([IMAGE, *findings])
    for image, row in zip(images, probabilities, strict=True):
        writer.writerow([image, *("" if np.isnan(value) else f"{value:.5f}" for value in row)])
    write_atomically(path, text.getvalue())


def read_soft_labels(path: Path, schema: FindingSchema) -> dict[str, NDArray[np.float32]]:
    """Return the probabilities [F] of each image by the stem of its name, NaN where there is none.

    Columns are findings of the schema by name or alias. An image that has several rows gets their mean.

    Raises:
        RecipeError: The file is no such table.
    """
    rows = _read(path)
    columns = _columns(rows[0], schema, path)
    found: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    for row in rows:
        values = np.full(len(schema.findings), np.nan, dtype=np.float32)
        for column, finding in columns.items():
            values[finding] = _probability(row[column], path)
        found[Path(row[IMAGE]).stem].append(values)
    return {stem: np.mean(values, axis=0) for stem, values in found.items()}


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecipeError(f"soft_label_file: {path} is not a CSV table in UTF-8; correct the path") from error
    if not rows or IMAGE not in rows[0]:
        raise RecipeError(f"soft_label_file: {path} has no column {IMAGE!r} or no rows; correct the table")
    if any(None in row or None in row.values() for row in rows):
        raise RecipeError(f"soft_label_file: {path} has a row that does not have a value for each column; correct it")
    return rows


def _columns(names: Mapping[str, str], schema: FindingSchema, path: Path) -> dict[str, int]:
    """Return the index of the finding of each column."""
    columns = {}
    for name in names:
        finding = schema.resolve_name(name)
        if finding is not None:
            columns[name] = schema.index(finding)
        elif name != IMAGE:
            raise RecipeError(
                f"soft_label_file: {path} has a column {name!r}, which is not a finding; choose from "
                f"{', '.join(schema.findings)}"
            )
    return columns


def _probability(text: str, path: Path) -> float:
    try:
        value = float(text) if text.strip() else np.nan
    except ValueError:
        value = -1.0
    if not (np.isnan(value) or 0 <= value <= 1):
        raise RecipeError(f"soft_label_file: {path}: {text!r} is not a probability from 0 to 1; correct the table")
    return float(value)
