"""Layouts `medpix`, `medpix-series`, `medpix-cases`: MedPix 2.0 (Siragusa et al., Data Science and Engineering 2025).

A folder with train.csv, val.csv and optionally test.csv, or one such table. Each row is one CT or MR image of a
teaching case, with its caption and the history, findings and diagnosis of the case. A case is in one split only.

The caption of a series is repeated for each of its images. In the layout `medpix-series`, the images of a case that
have one modality and one caption are one study.

The optional columns `type`, `plane` and `location_category` specify modality, plane and body part of an image.
Montages, 3D reconstructions and photographs have no plane.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from report_gen.corpora.examples import Example, split_name
from report_gen.corpora.study_rows import join_rows
from report_gen.corpora.tables import has_columns, read_csv
from report_gen.errors import CorpusError
from report_gen.labeling import value_of_term
from report_gen.records import ViewPosition

MAX_SERIES = 8
"""Largest number of images of a series; of more images, so many are taken at even distances."""
FILES = ("train.csv", "val.csv", "test.csv")
COLUMNS = ("image", "case_id", "split", "caption", "history", "findings", "diagnosis")
PLANES = ("axial", "coronal", "sagittal")

_PLACEHOLDER = re.compile(
    r"(?:replace this\b.*|in progress|not available|n ?/? ?[ac]|fig(?:ure|\.)? ?\d+|(?:ct|mri?)? ?images?(?: \d+)?)\.?",
    re.IGNORECASE | re.DOTALL,
)
"""Values of a field that was never filled in."""


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return bool(_tables(path))


def never_matches(path: Path) -> bool:
    """Return False: series and cases have the same files as the layout of images, so they must be requested."""
    return False


def read_images(path: Path) -> Iterator[Example]:
    """Yield one example per image, with its caption as findings. Placeholder captions become empty."""
    return (_example(row, table, Path(row["image"]).stem, findings=_text(row, "caption")) for table, row in _rows(path))


def read_series(path: Path) -> Iterator[Example]:
    """Yield one example per series: at most `MAX_SERIES` images of a case, in the order of the file.

    The study id is the name of its first image. An image without a caption is a study by itself.

    Raises:
        CorpusError: Rows of one series contradict each other.
    """
    first: dict[tuple[str, ...], str] = {}
    study_ids = [first.setdefault(_series_key(row), Path(row["image"]).stem) for _, row in _rows(path)]
    rows = (
        (
            f"{table}: the row of {row['image']}",
            _example(row, table, study_id, findings=_text(row, "caption")),
        )
        for study_id, (table, row) in zip(study_ids, _rows(path), strict=True)
    )
    return map(_shorten_series, join_rows(study_ids, rows))


def read_cases(path: Path) -> Iterator[Example]:
    """Yield one example per case with all its images, its findings, and its diagnosis as impression.

    Raises:
        CorpusError: Rows of one case contradict each other.
    """
    rows = (
        (
            f"{table}: the row of {row['image']}",
            _example(row, table, row["case_id"], findings=_text(row, "findings"), impression=_text(row, "diagnosis")),
        )
        for table, row in _rows(path)
    )
    return join_rows((row["case_id"] for _, row in _rows(path)), rows)


def _series_key(row: dict[str, str]) -> tuple[str, ...]:
    """Return what the images of one series share."""
    caption = _text(row, "caption")
    modality = value_of_term("modality", row.get("type", ""))
    return (row["case_id"], modality, caption) if caption else (row["case_id"], modality, caption, row["image"])


def _shorten_series(example: Example) -> Example:
    """Return an example with at most `MAX_SERIES` images, the first and the last among them."""
    count = len(example.images)
    if count <= MAX_SERIES:
        return example
    kept = [round(place * (count - 1) / (MAX_SERIES - 1)) for place in range(MAX_SERIES)]
    return replace(
        example,
        images=tuple(example.images[place] for place in kept),
        view_positions=tuple(example.view_positions[place] for place in kept),
    )


def _rows(path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    tables = _tables(path)
    if not tables:
        raise CorpusError(
            f"{path}: no {' or '.join(FILES)} with the columns {', '.join(COLUMNS)} found; check the path"
        )
    return ((table, row) for table in tables for row in read_csv(table, columns=COLUMNS))


def _tables(path: Path) -> list[Path]:
    files = [path / name for name in FILES] if path.is_dir() else [path]
    return [file for file in files if file.is_file() and has_columns(file, COLUMNS)]


def _example(row: dict[str, str], table: Path, study_id: str, *, findings: str, impression: str = "") -> Example:
    if not row["image"] or not row["case_id"]:
        raise CorpusError(f"{table}: a row has no image or no case_id; add it")
    return Example(
        study_id=study_id,
        patient_id=row["case_id"],
        images=(str(table.parent.resolve() / row["image"]),),
        view_positions=(ViewPosition.UNKNOWN.value,),
        indication=_text(row, "history"),
        findings=findings,
        impression=impression,
        modality=value_of_term("modality", row.get("type", "")),
        plane=_plane(row),
        body_part=value_of_term("body_part", row.get("location_category", "")),
        split=split_name(row["split"]),
    )


def _plane(row: dict[str, str]) -> str:
    plane = value_of_term("plane", row.get("plane", ""))
    return plane if plane in PLANES else ""


def _text(row: dict[str, str], column: str) -> str:
    return "" if _PLACEHOLDER.fullmatch(row[column]) else row[column]
