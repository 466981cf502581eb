"""MedPix 2.0 (Siragusa et al., Data Science and Engineering 2025) as tables: CT and MR images of teaching cases.

A folder with train.csv, val.csv and perhaps test.csv, one row per image with a caption of its own and the history,
findings and diagnosis of its case; or one such table. A case never stands in two splits.

Where there are columns `type`, `plane` and `location_category`, they tell modality, plane and body part of an image.
What is cut in no plane (montages, 3D reconstructions, photographs) has an unknown one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from report_gen.corpora.examples import Example, split_name
from report_gen.corpora.study_rows import join_rows
from report_gen.corpora.tables import has_columns, read_csv
from report_gen.errors import CorpusError
from report_gen.labeling.attributes import value_of_term
from report_gen.records.study import ViewPosition

FILES = ("train.csv", "val.csv", "test.csv")
COLUMNS = ("image", "case_id", "split", "caption", "history", "findings", "diagnosis")
PLANES = ("axial", "coronal", "sagittal")

_SAYS_NOTHING = re.compile(
    r"(?:replace this\b.*|in progress|not available|n ?/? ?[ac]|fig(?:ure|\.)? ?\d+|(?:ct|mri?)? ?images?(?: \d+)?)\.?",
    re.IGNORECASE | re.DOTALL,
)
"""What stands in a field that was never filled in."""


def matches(path: Path) -> bool:
    return bool(_tables(path))


def never_matches(path: Path) -> bool:
    """The same tables read another way, on request alone."""
    return False


def read_images(path: Path) -> Iterator[Example]:
    """One example per image: its caption is the findings; captions that are templates are empty."""
    return (_example(row, table, Path(row["image"]).stem, findings=_text(row, "caption")) for table, row in _rows(path))


def read_cases(path: Path) -> Iterator[Example]:
    """One example per case with all its images: the findings and the diagnosis, as impression, of the case.

    Raises:
        CorpusError: rows of one case contradict each other.
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
        raise CorpusError(f"{path}: no {' or '.join(FILES)} with the columns {', '.join(COLUMNS)} is here.")
    return ((table, row) for table in tables for row in read_csv(table, columns=COLUMNS))


def _tables(path: Path) -> list[Path]:
    places = [path / name for name in FILES] if path.is_dir() else [path]
    return [place for place in places if place.is_file() and has_columns(place, COLUMNS)]


def _example(row: dict[str, str], table: Path, study_id: str, *, findings: str, impression: str = "") -> Example:
    if not row["image"] or not row["case_id"]:
        raise CorpusError(f"{table}: a row has no image or no case_id; fill it in.")
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
    return "" if _SAYS_NOTHING.fullmatch(row[column]) else row[column]
