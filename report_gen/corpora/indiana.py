"""Layout `indiana`: the Indiana University collection (Demner-Fushman et al., JAMIA 2016) in the form of Kaggle.

A folder with indiana_reports.csv and indiana_projections.csv, and the images in `images/` or
`images/images_normalized/`. The collection has one study per patient. Kaggle omits the studies without images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import Example, is_file
from report_gen.corpora.r2gen import FILE as ANNOTATION
from report_gen.corpora.r2gen import indiana_splits
from report_gen.corpora.tables import read_csv
from report_gen.records import ViewPosition

REPORTS = "indiana_reports.csv"
PROJECTIONS = "indiana_projections.csv"
IMAGE_FOLDERS = ("images/images_normalized", "images")

_TEXTS = ("indication", "comparison", "findings", "impression")
_SPREADSHEET_ERROR = "#NAME?"
"""Value that a spreadsheet wrote for texts that begin with + or -."""


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return (path / REPORTS).is_file() or path.name == REPORTS


def read(path: Path) -> Iterator[Example]:
    """Yield the studies with their existing images.

    The split is that of an R2Gen annotation beside the tables. Studies without an entry in it are in train.
    """
    folder = (path if path.is_dir() else path.parent).resolve()
    views: dict[str, list[tuple[str, str]]] = {}
    for uid, name, view in read_projections(folder / PROJECTIONS):
        image = _find_image(folder, name)
        if image is not None:
            views.setdefault(uid, []).append((str(image), view))
    splits = indiana_splits(folder / ANNOTATION)
    for row in read_csv(folder / REPORTS, columns=("uid", *_TEXTS)):
        yield _example(row, views.get(row["uid"], []), splits.get(row["uid"], "train"))


def read_projections(table: Path) -> Iterator[tuple[str, str, str]]:
    """Yield (uid, file name, view position) of each image.

    Raises:
        CorpusError: The table cannot be read.
    """
    for row in read_csv(table, columns=("uid", "filename", "projection")):
        yield row["uid"], row["filename"], ViewPosition.from_term(row["projection"]).value


def _find_image(folder: Path, name: str) -> Path | None:
    candidates = (folder / images / name for images in IMAGE_FOLDERS)
    return next((candidate for candidate in candidates if is_file(candidate)), None)


def _example(row: dict[str, str], views: list[tuple[str, str]], split: str) -> Example:
    texts: dict[str, Any] = {name: "" if row[name] == _SPREADSHEET_ERROR else row[name] for name in _TEXTS}
    return Example(
        study_id=row["uid"],
        patient_id=row["uid"],
        images=tuple(image for image, _ in views),
        view_positions=tuple(view for _, view in views),
        split=split,
        **texts,
    )
