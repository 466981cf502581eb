"""A table of your own: manifest.jsonl, .json or .csv with one row per study or per image.

Columns, in any case, some under several names (`SYNONYMS`):

    study_id        rows with equal study id are joined in their order, at the place of the last
    patient_id
    images          a list, or names apart by `;`, relative to the manifest's folder
    views           as many as images, or one for all: PA, AP, frontal, lateral ...
    indication, comparison
    findings, impression, or else a whole `report`, cut by `cut_report`
    modality, plane, body_part
                    of the study's images, by DICOM's terms or in words of your own
    split           train, val or test; everything is train without it
    <finding>       a column per name of `FINDINGS`: 1 or 0, otherwise not known
    soft <finding>  what another model gives for it, 0 to 1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import SILENT, Example
from report_gen.corpora.study_rows import join_rows
from report_gen.corpora.tables import read_csv, read_json_rows
from report_gen.errors import CorpusError
from report_gen.labeling.attributes import value_of_term
from report_gen.labeling.sections import cut_report
from report_gen.records.report import ATTRIBUTES, FINDINGS
from report_gen.records.study import ViewPosition

FILES = ("manifest.jsonl", "manifest.json", "manifest.csv")

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "study_id": ("study_id", "uid", "id"),
    "patient_id": ("patient_id", "subject_id"),
    "images": ("images", "image", "image_paths", "image_path"),
    "views": ("view_positions", "view_position", "views", "view", "projections", "projection"),
}
_TEXTS = ("report", "findings", "impression")
_LABELS = tuple(map(str.lower, FINDINGS))
_SOFT_LABELS = tuple(f"soft {name}" for name in _LABELS)
COLUMNS = (
    *(name for names in SYNONYMS.values() for name in names),
    *_TEXTS,
    *("indication", "comparison", "split"),
    *ATTRIBUTES,
    *_LABELS,
    *_SOFT_LABELS,
)
"""All that is read of a row."""


def matches(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).is_file() for name in FILES)
    return path.suffix in (".jsonl", ".json", ".csv")


def read(path: Path) -> Iterator[Example]:
    """Examples of a manifest, or of the folder that holds it.

    Raises:
        CorpusError: when a column is missing or rows of one study contradict each other.
    """
    file = next((path / name for name in FILES if (path / name).is_file()), path)
    if file.is_dir():
        raise CorpusError(f"{path}: no {' or '.join(FILES)} here; name the file itself.")
    ids = (study_id(row, place) for place, row in _rows(file))
    folder = file.parent.resolve()
    yield from join_rows(ids, ((place, example_of_row(row, folder, place)) for place, row in _rows(file)))


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows with lower-case names, each with words that name its place."""
    rows = read_csv(file) if file.suffix == ".csv" else read_json_rows(file)
    for number, row in enumerate(rows, start=1):
        yield f"{file}: row {number}", {name.strip().lower(): value for name, value in row.items()}


def study_id(row: Mapping[str, Any], place: str) -> str:
    """The study id of a row with lower-case names; empty where it has none."""
    return _text(row, SYNONYMS["study_id"], place)


def example_of_row(row: Mapping[str, Any], folder: Path, place: str) -> Example:
    """What one row with lower-case names tells of its study, with images in `folder`.

    Raises:
        CorpusError: it has no study id or no text, or a value of a wrong kind; the message begins with `place`.
    """
    if row.keys().isdisjoint((*_TEXTS, *_LABELS)):
        raise CorpusError(f"{place} has no {', '.join(_TEXTS)} and no column named after a finding.")
    name = study_id(row, place)
    if not name:
        raise CorpusError(f"{place} has no study id; name its column {' or '.join(SYNONYMS['study_id'])}.")
    images = _list(row, SYNONYMS["images"], place)
    views = [ViewPosition.from_term(view).value for view in _list(row, SYNONYMS["views"], place)] or [ViewPosition.UNKNOWN.value]
    if len(views) not in (1, len(images)):
        raise CorpusError(f"{place} has {len(images)} images and {len(views)} views; give one view for each image.")
    return Example(
        study_id=name,
        patient_id=_text(row, SYNONYMS["patient_id"], place),
        images=tuple(str(folder / image) for image in images),
        view_positions=tuple(views if len(views) == len(images) else views * len(images)),
        **_texts(row, place),
        labels=_labels(row, place),
        soft_labels=_soft_labels(row, place),
        **{name: value_of_term(name, _text(row, (name,), place)) for name in ATTRIBUTES},
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


def _labels(row: Mapping[str, Any], place: str) -> tuple[float | None, ...]:
    if row.keys().isdisjoint(_LABELS):
        return SILENT
    return tuple(_label(row.get(name), place) for name in _LABELS)


def _soft_labels(row: Mapping[str, Any], place: str) -> tuple[float | None, ...]:
    if row.keys().isdisjoint(_SOFT_LABELS):
        return SILENT
    return tuple(_soft_label(row.get(name), place) for name in _SOFT_LABELS)


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
