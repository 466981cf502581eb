"""A table of your own: manifest.jsonl, .json or .csv with one row per study or per image.

Columns, in any case, some under several names (`SYNONYMS`):

    study_id        rows with equal study id are joined in their order
    patient_id
    images          a list, or names apart by `;`, relative to the manifest's folder
    views           as many as images, or one for all: PA, AP, frontal, lateral ...
    indication, comparison
    findings, impression, or else a whole `report`, cut by `cut_report`
    split           train, val or test; everything is train without it
    <finding>       a column per name of `FINDINGS`: 1 or 0, otherwise not known
    soft <finding>  what another model gives for it, 0 to 1
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import SILENT, Example, view_position
from report_gen.corpora.tables import read_csv, read_json_rows
from report_gen.corpora.whole_reports import cut_report
from report_gen.errors import CorpusError
from report_gen.report import FINDINGS
from report_gen.study import ViewPosition

FILES = ("manifest.jsonl", "manifest.json", "manifest.csv")

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "study_id": ("study_id", "uid", "id"),
    "patient_id": ("patient_id", "subject_id"),
    "images": ("images", "image", "image_paths", "image_path"),
    "views": ("view_positions", "view_position", "views", "view", "projections", "projection"),
}
_TEXTS = ("report", "findings", "impression")


def matches(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).is_file() for name in FILES)
    return path.suffix in (".jsonl", ".json", ".csv")


def read(path: Path) -> list[Example]:
    """Examples of a manifest, or of the folder that holds it.

    Raises:
        CorpusError: when a column is missing or rows of one study contradict each other.
    """
    file = next((path / name for name in FILES if (path / name).is_file()), path)
    if file.is_dir():
        raise CorpusError(f"{path}: no {' or '.join(FILES)} here; name the file itself.")
    rows = read_csv(file) if file.suffix == ".csv" else read_json_rows(file)
    studies: dict[str, Example] = {}
    for number, row in enumerate(rows, start=1):
        place = f"{file}: row {number}"
        named = {name.strip().lower(): value for name, value in row.items()}
        example = _example(named, file.parent.resolve(), place)
        earlier = studies.get(example.study_id)
        studies[example.study_id] = example if earlier is None else _join(earlier, example, place)
    return list(studies.values())


def _example(row: Mapping[str, Any], folder: Path, place: str) -> Example:
    if not any(name in row for name in (*_TEXTS, *map(str.lower, FINDINGS))):
        raise CorpusError(f"{place} has no {', '.join(_TEXTS)} and no column named after a finding.")
    study_id = _text(row, SYNONYMS["study_id"], place)
    if not study_id:
        raise CorpusError(f"{place} has no study id; name its column {' or '.join(SYNONYMS['study_id'])}.")
    names = _list(row, SYNONYMS["images"], place)
    views = [view_position(view) for view in _list(row, SYNONYMS["views"], place)] or [ViewPosition.UNKNOWN.value]
    if len(views) not in (1, len(names)):
        raise CorpusError(f"{place} has {len(names)} images and {len(views)} views; give one view for each image.")
    return Example(
        study_id=study_id,
        patient_id=_text(row, SYNONYMS["patient_id"], place),
        images=tuple(str(folder / name) for name in names),
        view_positions=tuple(views if len(views) == len(names) else views * len(names)),
        **_texts(row, place),
        labels=tuple(_label(row.get(name.lower()), place) for name in FINDINGS),
        soft_labels=tuple(_soft_label(row.get(f"soft {name.lower()}"), place) for name in FINDINGS),
        split=_text(row, ("split",), place) or "train",
    )


def _value(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _text(row: Mapping[str, Any], names: tuple[str, ...], place: str) -> str:
    value = _value(row, names)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise CorpusError(f"{place}: {names[0]!r} must be a text.")
    return str(value).strip()


def _list(row: Mapping[str, Any], names: tuple[str, ...], place: str) -> list[str]:
    value = _value(row, names)
    values = value.split(";") if isinstance(value, str) else value or []
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise CorpusError(f"{place}: {names[0]!r} must be a list of texts, or texts apart by ';'.")
    return [item.strip() for item in values if item.strip()]


def _texts(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The texts of the row's own columns; what they lack comes from a whole report."""
    texts = {name: _text(row, (name,), place) for name in ("indication", "comparison", "findings", "impression")}
    if texts["findings"] or texts["impression"]:
        return texts
    cut = cut_report(_text(row, ("report",), place))
    return {name: text or cut.get(name, "") for name, text in texts.items()}


def _label(value: object, place: str) -> float | None:
    """1 and 0; empty and CheXpert's -1 (uncertain) are not known."""
    number = _number(value)
    if number not in (0, 1, -1, None):
        raise CorpusError(f"{place}: the label of a finding must be 1, 0, -1 or empty.")
    return None if number == -1 else number


def _soft_label(value: object, place: str) -> float | None:
    number = _number(value)
    if number is not None and not 0 <= number <= 1:
        raise CorpusError(f"{place}: the soft label of a finding must be a number from 0 to 1, or empty.")
    return number


def _number(value: object) -> float | None:
    """The number, NaN for what is none, None for nothing."""
    if value is None or value == "":
        return None
    try:
        return float(value) if isinstance(value, bool) else float(str(value))
    except ValueError:
        return float("nan")


def _join(earlier: Example, later: Example, place: str) -> Example:
    """One study from two rows: images follow each other, everything else must be equal or missing in one of them."""
    missing = ("", SILENT)
    joined: dict[str, Any] = {}
    for name in (field.name for field in fields(Example)):
        first, second = getattr(earlier, name), getattr(later, name)
        if name in ("images", "view_positions"):
            joined[name] = first + second
        elif first == second or second in missing:
            joined[name] = first
        elif first in missing:
            joined[name] = second
        else:
            raise CorpusError(f"{place} has another {name} than an earlier row of the same study.")
    return Example(**joined)
