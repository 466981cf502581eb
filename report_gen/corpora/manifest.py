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
    <finding>       a column per name or alias of the schema's findings: 1 or 0, otherwise not known
    soft <finding>  what another model gives for it, 0 to 1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import Example, view_position
from report_gen.corpora.study_rows import join_rows
from report_gen.corpora.tables import read_csv, read_json_rows
from report_gen.errors import CorpusError
from report_gen.labeling.attributes import value_of_term
from report_gen.labeling.sections import cut_report
from report_gen.records.findings import FindingSchema
from report_gen.records.report import ATTRIBUTES
from report_gen.records.study import ViewPosition

FILES = ("manifest.jsonl", "manifest.json", "manifest.csv")

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "study_id": ("study_id", "uid", "id"),
    "patient_id": ("patient_id", "subject_id"),
    "images": ("images", "image", "image_paths", "image_path"),
    "views": ("view_positions", "view_position", "views", "view", "projections", "projection"),
}
_TEXTS = ("report", "findings", "impression")
_SOFT = "soft "
"""Begins the name of a column of soft labels."""


def label_columns(schema: FindingSchema) -> dict[str, tuple[str, ...]]:
    """Return the columns that may hold the label of each finding, in lower case: its name, then its aliases."""
    return {
        finding: (
            finding.lower(),
            *(alias.lower() for alias, name in schema.aliases.items() if name == finding),
        )
        for finding in schema.findings
    }


def columns(schema: FindingSchema) -> tuple[str, ...]:
    """Return the names of all columns that are read of a row, in lower case."""
    labels = [name for names in label_columns(schema).values() for name in names]
    return (
        *(name for names in SYNONYMS.values() for name in names),
        *_TEXTS,
        *("indication", "comparison", "split"),
        *ATTRIBUTES,
        *labels,
        *(_SOFT + name for name in labels),
    )


def matches(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).is_file() for name in FILES)
    return path.suffix in (".jsonl", ".json", ".csv")


def read(path: Path, schema: FindingSchema) -> Iterator[Example]:
    """Examples of a manifest, or of the folder that holds it.

    Raises:
        CorpusError: when a column is missing or rows of one study contradict each other.
    """
    file = next((path / name for name in FILES if (path / name).is_file()), path)
    if file.is_dir():
        raise CorpusError(f"{path}: no {' or '.join(FILES)} here; name the file itself.")
    ids = (study_id(row, place) for place, row in _rows(file))
    folder = file.parent.resolve()
    labels = label_columns(schema)
    yield from join_rows(ids, ((place, example_of_row(row, folder, place, labels)) for place, row in _rows(file)))


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows with lower-case names, each with words that name its place."""
    rows = read_csv(file) if file.suffix == ".csv" else read_json_rows(file)
    for number, row in enumerate(rows, start=1):
        yield f"{file}: row {number}", {name.strip().lower(): value for name, value in row.items()}


def study_id(row: Mapping[str, Any], place: str) -> str:
    """The study id of a row with lower-case names; empty where it has none."""
    return _text(row, SYNONYMS["study_id"], place)


def example_of_row(row: Mapping[str, Any], folder: Path, place: str, labels: Mapping[str, tuple[str, ...]]) -> Example:
    """What one row with lower-case names tells of its study, with images in `folder`.

    Args:
        row: Values by lower-case column name.
        folder: The folder that image names are relative to.
        place: Words that name the place of the row.
        labels: Of `label_columns`.

    Raises:
        CorpusError: it has no study id or no text, or a value of a wrong kind; the message begins with `place`.
    """
    if row.keys().isdisjoint((*_TEXTS, *(name for names in labels.values() for name in names))):
        raise CorpusError(f"{place} has no {', '.join(_TEXTS)} and no column named after a finding.")
    name = study_id(row, place)
    if not name:
        raise CorpusError(f"{place} has no study id; name its column {' or '.join(SYNONYMS['study_id'])}.")
    images = _list(row, SYNONYMS["images"], place)
    views = [view_position(view) for view in _list(row, SYNONYMS["views"], place)] or [ViewPosition.UNKNOWN.value]
    if len(views) not in (1, len(images)):
        raise CorpusError(f"{place} has {len(images)} images and {len(views)} views; give one view for each image.")
    return Example(
        study_id=name,
        patient_id=_text(row, SYNONYMS["patient_id"], place),
        images=tuple(str(folder / image) for image in images),
        view_positions=tuple(views if len(views) == len(images) else views * len(images)),
        **_texts(row, place),
        labels=_labels(row, labels, place),
        soft_labels=_soft_labels(row, labels, place),
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


def _labels(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], place: str) -> dict[str, float]:
    labels = {finding: _label(_value(row, names), place) for finding, names in columns.items()}
    return {finding: label for finding, label in labels.items() if label is not None}


def _soft_labels(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], place: str) -> dict[str, float]:
    soft = {finding: tuple(_SOFT + name for name in names) for finding, names in columns.items()}
    labels = {finding: _soft_label(_value(row, names), place) for finding, names in soft.items()}
    return {finding: label for finding, label in labels.items() if label is not None}


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
