"""The Indiana University collection (Demner-Fushman et al., JAMIA 2016) as Kaggle spreads it.

A folder with indiana_reports.csv and indiana_projections.csv; images, where there are any, in `images/` or
`images/images_normalized/`. The collection has one study per patient.
"""

from __future__ import annotations

from pathlib import Path

from report_gen.corpora.examples import Example, view_position
from report_gen.corpora.r2gen import FILE as ANNOTATION
from report_gen.corpora.r2gen import annotation_entries
from report_gen.corpora.tables import read_csv

REPORTS = "indiana_reports.csv"
PROJECTIONS = "indiana_projections.csv"
IMAGE_FOLDERS = ("images/images_normalized", "images")


def matches(path: Path) -> bool:
    return (path / REPORTS).is_file() or path.name == REPORTS


def read(path: Path) -> list[Example]:
    """Examples with those images that are there; without a single one they are texts alone.

    The split is that of an R2Gen annotation beside the tables; studies it does not name, and all without it, are train.
    """
    folder = (path if path.is_dir() else path.parent).resolve()
    views: dict[str, list[tuple[str, str]]] = {}
    for row in read_csv(folder / PROJECTIONS, columns=("uid", "filename", "projection")):
        image = _find_image(folder, row["filename"])
        if image is not None:
            views.setdefault(row["uid"], []).append((str(image), view_position(row["projection"])))
    splits = _read_splits(folder / ANNOTATION)
    reports = read_csv(folder / REPORTS, columns=("uid", "indication", "comparison", "findings", "impression"))
    return [_example(row, views.get(row["uid"], []), splits.get(row["uid"], "train")) for row in reports]


def _find_image(folder: Path, name: str) -> Path | None:
    places = (folder / images / name for images in IMAGE_FOLDERS)
    return next((place for place in places if place.is_file()), None)


def _read_splits(annotation: Path) -> dict[str, str]:
    """The split of each uid; R2Gen calls uid 12 `CXR12_IM-...`."""
    if not annotation.is_file():
        return {}
    entries = annotation_entries(annotation)
    return {str(entry["id"]).partition("_")[0].removeprefix("CXR"): split for split, entry in entries}


def _example(row: dict[str, str], views: list[tuple[str, str]], split: str) -> Example:
    return Example(
        study_id=row["uid"],
        patient_id=row["uid"],
        images=tuple(image for image, _ in views),
        view_positions=tuple(view for _, view in views),
        indication=row["indication"],
        comparison=row["comparison"],
        findings=row["findings"],
        impression=row["impression"],
        split=split,
    )
