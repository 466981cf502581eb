"""The R2Gen layout (Chen et al., EMNLP 2020, arXiv:2010.16056): annotation.json with the images in `images/` beside it.

The file is {train, val, test: [{id, report, image_path: [...]}]}; the report of these corpora is the findings section.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from report_gen.corpora.examples import SPLITS, Example
from report_gen.corpora.tables import read_json
from report_gen.errors import CorpusError
from report_gen.study import ViewPosition

FILE = "annotation.json"


def matches(path: Path) -> bool:
    return (path / FILE).is_file() or (path.name.startswith("annotation") and path.suffix == ".json")


def read(path: Path) -> list[Example]:
    """Examples of an annotation file, or of the folder that holds it; views are not told by this layout."""
    file = path / FILE if path.is_dir() else path
    return [_example(entry, split, file) for split, entry in annotation_entries(file)]


def annotation_entries(file: Path) -> list[tuple[str, dict[str, Any]]]:
    """(split, entry) of an annotation file.

    Raises:
        CorpusError: when the file is not one.
    """
    splits = read_json(file)
    if not isinstance(splits, dict) or not set(splits) & set(SPLITS):
        raise CorpusError(f"{file}: not an R2Gen annotation; it must be an object with {', '.join(SPLITS)}.")
    entries = []
    for split, studies in splits.items():
        if not isinstance(studies, list):
            raise CorpusError(f"{file}: {split!r} must be a list of studies.")
        for number, study in enumerate(studies):
            if not (isinstance(study, dict) and "id" in study):
                raise CorpusError(f"{file}: entry {number} of {split!r} has no 'id'.")
            entries.append((split, study))
    return entries


def _example(entry: dict[str, Any], split: str, file: Path) -> Example:
    report, names = entry.get("report"), entry.get("image_path")
    if not isinstance(report, str) or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise CorpusError(f"{file}: an entry of {split!r} lacks a 'report' text or an 'image_path' list of names.")
    folder = file.parent.resolve() / "images"
    return Example(
        study_id=str(entry["id"]),
        patient_id=str(entry.get("subject_id", "")),
        images=tuple(str(folder / name) for name in names),
        view_positions=(ViewPosition.UNKNOWN.value,) * len(names),
        findings=report.strip(),
        split=split,
    )
