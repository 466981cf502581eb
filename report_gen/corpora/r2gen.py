"""Layout `r2gen` (Chen et al., EMNLP 2020, arXiv:2010.16056): annotation.json, and the images in `images/` beside it.

The file is {train, val, test: [{id, report, image_path: [...]}]}. A report of these corpora is the findings section.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import SPLITS, Example
from report_gen.corpora.json_items import stream_arrays
from report_gen.errors import CorpusError
from report_gen.records import ViewPosition

FILE = "annotation.json"

_INDIANA = re.compile(r"CXR(\d+)(?:_.*)?")


def matches(path: Path) -> bool:
    """Return whether a path has this layout."""
    return (path / FILE).is_file() or (path.name.startswith("annotation") and path.suffix == ".json")


def read(path: Path) -> Iterator[Example]:
    """Yield the studies of an annotation file, or of the folder that contains it. The views are unknown."""
    file = path / FILE if path.is_dir() else path
    return (_example(entry, split, file) for split, entry in annotation_entries(file))


def annotation_entries(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (split, entry) of an annotation file.

    Raises:
        CorpusError: The file is not an annotation. Some entries may have been yielded before.
    """
    splits = set()
    for split, studies in stream_arrays(file):
        if split in splits:
            raise CorpusError(f"{file}: {split!r} occurs twice; join the two lists")
        splits.add(split)
        if studies is None:
            raise CorpusError(f"{file}: {split!r} must be a list of studies; correct the file")
        for number, study in enumerate(studies):
            if not isinstance(study, dict) or not all(
                isinstance(study.get(key, default), str | int) for key, default in (("id", None), ("subject_id", ""))
            ):
                raise CorpusError(
                    f"{file}: entry {number} of {split!r} has no 'id', or an 'id' or 'subject_id' that is neither a "
                    "text nor a number; correct it"
                )
            yield split, study
    if not splits & set(SPLITS):
        raise CorpusError(f"{file}: not an R2Gen annotation; give an object with the keys {', '.join(SPLITS)}")


def indiana_uid(study_id: str) -> str:
    """Return the number in an id of the Indiana collection such as CXR12_IM-0012-1001; empty for other ids.

    The number is the `uid` of the Kaggle tables. It also identifies the patient, who has one study.
    """
    match = _INDIANA.fullmatch(study_id)
    return match[1] if match else ""


def indiana_splits(annotation: Path) -> dict[str, str]:
    """Return the split of each study of the Indiana collection by its number; empty without an annotation."""
    if not annotation.is_file():
        return {}
    return {indiana_uid(str(entry["id"])): split for split, entry in annotation_entries(annotation)}


def _example(entry: dict[str, Any], split: str, file: Path) -> Example:
    report, names = entry.get("report"), entry.get("image_path")
    if not isinstance(report, str) or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise CorpusError(
            f"{file}: an entry of {split!r} lacks a text 'report' or a list of names 'image_path'; add it"
        )
    folder = file.parent.resolve() / "images"
    study_id = str(entry["id"])
    return Example(
        study_id=study_id,
        patient_id=str(entry.get("subject_id", indiana_uid(study_id))),
        images=tuple(str(folder / name) for name in names),
        view_positions=(ViewPosition.UNKNOWN.value,) * len(names),
        findings=report.strip(),
        split=split,
    )
