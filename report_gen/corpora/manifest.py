"""Layout `manifest`: your own table, manifest.jsonl, .json or .csv, with one row per study or per image.

Column names are not case sensitive, and some have synonyms (`SYNONYMS`):

    study_id        rows with the same study id are joined in their order
    patient_id
    images          a list, or names separated by `;`, relative to the folder of the manifest
    views           one per image, or one for all: PA, AP, frontal, lateral ...
    indication, comparison
    findings, impression
                    or a complete `report`, which `cut_report` splits into sections
    modality, plane, body_part
                    of the images of the study, in terms of DICOM or common words
    split           train, val or test; default train
    <finding>       one column per name or alias of the schema's findings: 1, 0, or empty for unknown
    soft <finding>  probability that another model gives, 0 to 1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report_gen.corpora.examples import Example
from report_gen.corpora.study_rows import join_rows
from report_gen.corpora.tables import read_csv, read_json_rows
from report_gen.errors import CorpusError
from report_gen.labeling import cut_report, value_of_term
from report_gen.records import ATTRIBUTES, FindingSchema, ViewPosition

FILES = ("manifest.jsonl", "manifest.json", "manifest.csv")

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "study_id": ("study_id", "uid", "id"),
    "patient_id": ("patient_id", "subject_id"),
    "images": ("images", "image", "image_paths", "image_path"),
    "views": ("view_positions", "view_position", "views", "view", "projections", "projection"),
}
_TEXTS = ("report", "findings", "impression")
_SOFT = "soft "
"""Prefix of the name of a column of soft labels."""


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
    """Return the names of all columns that are read, in lower case."""
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
    """Return whether a path may have this layout."""
    if path.is_dir():
        return any((path / name).is_file() for name in FILES)
    return path.suffix in (".jsonl", ".json", ".csv")


def read(path: Path, schema: FindingSchema) -> Iterator[Example]:
    """Yield the studies of a manifest, or of the folder that contains it.

    Raises:
        CorpusError: A column is missing, or rows of one study contradict each other.
    """
    file = next((path / name for name in FILES if (path / name).is_file()), path)
    if file.is_dir():
        raise CorpusError(f"{path}: contains no {' or '.join(FILES)}; give the file itself")
    ids = (study_id(row, location) for location, row in _rows(file))
    folder = file.parent.resolve()
    labels = label_columns(schema)
    yield from join_rows(
        ids, ((location, example_of_row(row, folder, location, labels)) for location, row in _rows(file))
    )


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (location, row) with column names in lower case. The location begins error messages."""
    rows = read_csv(file) if file.suffix == ".csv" else read_json_rows(file)
    for number, row in enumerate(rows, start=1):
        yield f"{file}: row {number}", {name.strip().lower(): value for name, value in row.items()}


def study_id(row: Mapping[str, Any], location: str) -> str:
    """Return the study id of a row whose column names are in lower case; empty if it has none."""
    return _text(row, SYNONYMS["study_id"], location)


def example_of_row(
    row: Mapping[str, Any], folder: Path, location: str, labels: Mapping[str, tuple[str, ...]]
) -> Example:
    """Return the study of one row.

    Args:
        row: Values by lower-case column name.
        folder: Folder to which image names are relative.
        location: File and row, for error messages.
        labels: Columns of `label_columns`.

    Raises:
        CorpusError: The row has no study id, no text and no label, or a value of a wrong type.
    """
    if row.keys().isdisjoint((*_TEXTS, *(name for names in labels.values() for name in names))):
        raise CorpusError(f"{location} has no {', '.join(_TEXTS)} and no column of a finding; add one")
    name = study_id(row, location)
    if not name:
        raise CorpusError(f"{location} has no study id; add a column {' or '.join(SYNONYMS['study_id'])}")
    images = _list(row, SYNONYMS["images"], location)
    views = [ViewPosition.from_term(view).value for view in _list(row, SYNONYMS["views"], location) or [""]]
    if len(views) not in (1, len(images)):
        raise CorpusError(f"{location} has {len(images)} images and {len(views)} views; give one view per image")
    return Example(
        study_id=name,
        patient_id=_text(row, SYNONYMS["patient_id"], location),
        images=tuple(str(folder / image) for image in images),
        view_positions=tuple(views if len(views) == len(images) else views * len(images)),
        **_texts(row, location),
        labels=_labels(row, labels, location),
        soft_labels=_soft_labels(row, labels, location),
        **{name: value_of_term(name, _text(row, (name,), location)) for name in ATTRIBUTES},
        split=_text(row, ("split",), location) or "train",
    )


def _value(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _text(row: Mapping[str, Any], names: tuple[str, ...], location: str) -> str:
    value = _value(row, names)
    if value is None:
        return ""
    if not isinstance(value, str | int):
        raise CorpusError(f"{location}: {names[0]!r} must be a text; correct the value")
    return str(value).strip()


def _list(row: Mapping[str, Any], names: tuple[str, ...], location: str) -> list[str]:
    value = _value(row, names)
    values = value.split(";") if isinstance(value, str) else value or []
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise CorpusError(f"{location}: {names[0]!r} must be a list of texts, or texts separated by ';'")
    return [item.strip() for item in values if item.strip()]


def _texts(row: Mapping[str, Any], location: str) -> dict[str, Any]:
    """Return the sections of a row. Missing ones are taken from its complete report."""
    texts = {name: _text(row, (name,), location) for name in ("indication", "comparison", "findings", "impression")}
    if texts["findings"] or texts["impression"]:
        return texts
    cut = cut_report(_text(row, ("report",), location))
    return {name: text or cut.get(name, "") for name, text in texts.items()}


def _labels(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], location: str) -> dict[str, float]:
    labels = {finding: _label(_value(row, names), location) for finding, names in columns.items()}
    return {finding: label for finding, label in labels.items() if label is not None}


def _soft_labels(row: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]], location: str) -> dict[str, float]:
    soft = {finding: tuple(_SOFT + name for name in names) for finding, names in columns.items()}
    labels = {finding: _soft_label(_value(row, names), location) for finding, names in soft.items()}
    return {finding: label for finding, label in labels.items() if label is not None}


def _label(value: object, location: str) -> float | None:
    """Return 1 or 0; None for an empty value and for -1, which CheXpert uses for uncertain."""
    number = _number(value)
    if number not in (0, 1, -1, None):
        raise CorpusError(f"{location}: the label of a finding must be 1, 0, -1 or empty; correct the value")
    return None if number == -1 else number


def _soft_label(value: object, location: str) -> float | None:
    number = _number(value)
    if number is not None and not 0 <= number <= 1:
        raise CorpusError(
            f"{location}: the soft label of a finding must be a number from 0 to 1, or empty; correct the value"
        )
    return number


def _number(value: object) -> float | None:
    """Return the number, NaN if the value is not a number, None if it is empty."""
    if value is None or value == "":
        return None
    try:
        return float(value) if isinstance(value, bool) else float(str(value))
    except ValueError:
        return float("nan")
