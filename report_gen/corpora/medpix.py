"""Layouts `medpix` and `medpix-cases`: MedPix 2.0 (Siragusa et al., Data Science and Engineering 2025) as tables.

A folder with train.csv, val.csv and optionally test.csv, or one such table. Each row is one CT or MR image of a
teaching case, with its caption and the history, findings and diagnosis of the case. A case is in one split only.

The optional columns `type`, `plane` and `location_category` specify modality, plane and body part of an image.
Montages, 3D reconstructions and photographs have no plane.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from report_gen.corpora.examples import Example, split_name
from report_gen.corpora.study_rows import join_rows
from report_gen.corpora.tables import has_columns, read_csv
from report_gen.errors import CorpusError
from report_gen.labeling import value_of_term
from report_gen.records import ViewPosition

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
    """Return False: the layout of cases has the same files as that of images, so it must be requested."""
    return False


def read_images(path: Path) -> Iterator[Example]:
    """Yield one example per image, with its caption as findings. Placeholder captions become empty."""
    return (_example(row, table, Path(row["image"]).stem, findings=_text(row, "caption")) for table, row in _rows(path))


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
