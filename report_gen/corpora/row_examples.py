"""Build the study of one row of a table whose columns are assigned to fields."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from report_gen.corpora.columns import SECTIONS, SOFT, TEXT_FIELDS, ColumnUse
from report_gen.corpora.examples import OFFSET_COLUMNS, ORDER_COLUMNS, Example, is_file, per_image, split_name
from report_gen.corpora.finding_boxes import FindingBox
from report_gen.corpora.image_paths import has_image_suffix
from report_gen.errors import CorpusError
from report_gen.labeling import cut_report, value_of_term
from report_gen.records import ATTRIBUTES, FindingSchema, ViewPosition

Row = Mapping[str, Any]


def example_of_row(
    row: Row,
    use: ColumnUse,
    location: str,
    *,
    study_id: str,
    find: Callable[[Any, str], str],
    split: str,
    schema: FindingSchema,
) -> Example:
    """Return the study of one row.

    Args:
        row: Values by column.
        use: Columns by field.
        location: Table and row, for error messages.
        study_id: Id of the study.
        find: Returns the path of an image.
        split: Split if the row has none; empty for train.
        schema: The findings of the labels.

    Raises:
        CorpusError: A value has a wrong type.
    """
    images = images_of_row(row, use, location)
    paths = tuple(find(image, location) for image in images)
    for image, path in zip(images, paths, strict=True):
        if _is_sentence(image) and not is_file(path):
            raise CorpusError(
                f"{location}: {_column(use, 'images')!r} holds a text and no file name; check which column names the "
                "images (--columns image=NAME)"
            )
    views = [ViewPosition.from_term(view).value for view in _list(row, use, "views", location) or [""]]
    if len(views) not in (1, len(images)):
        raise CorpusError(f"{location} has {len(images)} images and {len(views)} views; give one view per image")
    return Example(
        study_id=study_id,
        patient_id=_text(row, use, "patient_id", location),
        images=paths,
        view_positions=tuple(views if len(views) == len(images) else views * len(images)),
        **_offsets(row, use, location, len(images)),
        is_prior=_prior_flags(row, use, location, len(images)),
        **_sections(row, use, location),
        labels=_numbers(row, use, schema, "", lambda value: _label(value, location)),
        soft_labels=_numbers(row, use, schema, SOFT, lambda value: _soft_label(value, location)),
        **_annotations(row, use, location, schema, len(images)),
        **_attributes(row, use, location),
        split=split_name(_text(row, use, "split", location)) or split or "train",
    )


def _is_sentence(image: Any) -> bool:
    """Return whether an image name can only be a text: several words, or a full stop at the end, without a suffix."""
    if not isinstance(image, str) or has_image_suffix(image):
        return False
    return len(image.split()) > 2 or image.endswith(".")


def study_id_of_row(row: Row, use: ColumnUse, location: str) -> str:
    """Return the study id in a row; empty if it has none."""
    return _text(row, use, "study_id", location)


def images_of_row(row: Row, use: ColumnUse, location: str) -> list[Any]:
    """Return the images of a row: names, or embedded images of `datasets`."""
    if "images" in use.joined:
        listed = [_split_list(row.get(column)) for column in use.fields["images"]]
        values: Any = [image for images in listed for image in (images if isinstance(images, list) else [images])]
    else:
        values = _value(row, use, "images")
    images = values if isinstance(values, list) else [values]
    if all(map(_is_embedded, images)):
        return list(images)
    return _names(values if "images" in use.joined else _split_list(values), _column(use, "images"), location)


def _is_embedded(image: Any) -> bool:
    return isinstance(image, bytes) or (isinstance(image, dict) and bool({"bytes", "path"} & set(image)))


def _value(row: Row, use: ColumnUse, field: str) -> Any:
    """Return the first value of the columns of a field, or all texts if they are joined; None if all are empty."""
    values = (row.get(column) for column in use.fields.get(field, ()))
    filled: list[Any] = [value for value in values if not _is_empty(value)]
    if field in use.joined and all(isinstance(value, str) for value in filled):
        return ("; " if field == "views" else "\n").join(filled) or None
    return filled[0] if filled else None


def _is_empty(value: Any) -> bool:
    """Return whether a value is missing; pandas writes NaN or <NA> for it."""
    return (
        value is None
        or (isinstance(value, str) and value.strip() in _MISSING)
        or (isinstance(value, float) and math.isnan(value))
    )


_MISSING = frozenset(("", "nan", "NaN", "<NA>"))
_FLOAT_ID = re.compile(r"(\d+)\.0")
_IDS = ("study_id", "patient_id")


def _text(row: Row, use: ColumnUse, field: str, location: str) -> str:
    value = _value(row, use, field)
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # pandas makes numbers of ids, and floats of numbers if one is missing
    if not isinstance(value, str | int):
        raise CorpusError(f"{location}: {use.fields[field][0]!r} must be a text; correct the value")
    text = str(value).strip()
    # pandas writes the id 7 as 7.0 if an id is missing in the table
    return match[1] if field in _IDS and (match := _FLOAT_ID.fullmatch(text)) else text


def _list(row: Row, use: ColumnUse, field: str, location: str) -> list[str]:
    return _names(_split_list(_value(row, use, field)), _column(use, field), location)


def _column(use: ColumnUse, field: str) -> str:
    return (use.fields.get(field) or (field,))[0]


def _names(values: Any, column: str, location: str) -> list[str]:
    values = [] if values is None else values
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise CorpusError(f"{location}: {column!r} is not a list of texts; write a list, or texts separated by ';'")
    return [item.strip() for item in values if item.strip()]


def _split_list(value: Any) -> Any:
    """Return the items of a text: separated by `;` or `|`, image names also by commas, or a list of JSON or Python."""
    if not isinstance(value, str):
        return value
    if value.strip().startswith("[") and value.strip().endswith("]"):
        for parse in (json.loads, ast.literal_eval):
            try:
                parsed = parse(value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            return parsed if isinstance(parsed, list) else value
    items = value.replace("|", ";").split(";")
    by_comma = value.split(",")
    return by_comma if len(items) == 1 and all(has_image_suffix(item.strip()) for item in by_comma) else items


def _sections(row: Row, use: ColumnUse, location: str) -> dict[str, Any]:
    """Return the sections of a row. Missing ones are taken from its complete report.

    If the user mapped the report, the report has precedence over columns that were found by their usual names.
    """
    for name in TEXT_FIELDS:
        text = _text(row, use, name, location)
        if text and has_image_suffix(text) and not any(map(str.isspace, text)):
            raise CorpusError(
                f"{location}: {_column(use, name)!r} holds a file name and no text; check which column has the reports "
                "(--columns report=NAME)"
            )
    own = {name: _text(row, use, name, location) for name in SECTIONS}
    if own["findings"] and own["impression"] and not use.prefers_report("findings"):
        return own
    report = " ".join(_text(row, use, "report", location).split())
    cut = cut_report(_text(row, use, "report", location))
    texts = {}
    for name, text in own.items():
        of_report = cut.get(name, "")
        if use.prefers_report(name):  # a report without headings may contain the section
            texts[name] = of_report or ("" if " ".join(text.split()) in report else text)
        else:
            texts[name] = text or ("" if of_report in map(" ".join, map(str.split, own.values())) else of_report)
    return texts


def _numbers(
    row: Row, use: ColumnUse, schema: FindingSchema, prefix: str, parse: Callable[[Any], float | None]
) -> dict[str, float]:
    labeled = [finding for finding in schema.findings if prefix + finding in use.fields]
    numbers = {finding: parse(_value(row, use, prefix + finding)) for finding in labeled}
    return {finding: number for finding, number in numbers.items() if number is not None}


def _attributes(row: Row, use: ColumnUse, location: str) -> dict[str, Any]:
    return {name: value_of_term(name, _text(row, use, name, location)) for name in ATTRIBUTES}


def _annotations(row: Row, use: ColumnUse, location: str, schema: FindingSchema, images: int) -> dict[str, Any]:
    """Return the source of a study, the size of its images, what readers marked in them, and texts of the order."""
    source, size = _value(row, use, "source"), _number(_value(row, use, "stored_px"))
    if size is not None and not (0 <= size < 2**31 and size.is_integer()):
        raise CorpusError(f"{location}: 'stored_px' must be a number of pixels, or empty; correct the value")
    boxes = _split_list(_value(row, use, "finding_boxes") or [])
    if not isinstance(boxes, list):
        raise CorpusError(f"{location}: 'finding_boxes' is not a list of boxes; correct the value")
    return {name: _text(row, use, name, location) for name in ("prior_report", *ORDER_COLUMNS)} | {
        "source": str(source) if isinstance(source, str | int) else "",
        "stored_px": int(size or 0),
        "adjudicated_findings": tuple(
            name for name in _list(row, use, "adjudicated_findings", location) if name in schema.findings
        ),
        "finding_boxes": tuple(
            box for box in (_box(box, location, images) for box in boxes) if box.finding in schema.findings
        ),
    }


def _offsets(row: Row, use: ColumnUse, location: str, images: int) -> dict[str, Any]:
    """Return the offsets of the images of a row, of each kind one for each image, or none if none is known."""
    offsets = {}
    for name in OFFSET_COLUMNS:
        values = _split_list(_value(row, use, name))
        listed = values if isinstance(values, list) else [values]
        numbers = per_image(None if _is_empty(value) else _number(value) for value in listed)
        are_valid = all(number is None or abs(number) <= _MAX_OFFSET for number in numbers)
        if not are_valid or len(numbers) not in (0, images):
            raise CorpusError(
                f"{location}: {_column(use, name)!r} needs a number from -{_MAX_OFFSET} to {_MAX_OFFSET}, or nothing, "
                f"for each of the {images} images; correct the value, or give distances from the first image"
            )
        offsets[name] = numbers
    return offsets


def _prior_flags(row: Row, use: ColumnUse, location: str, images: int) -> tuple[bool | None, ...]:
    """Return for each image of a row whether it is of the prior study; nothing if none is."""
    values = _split_list(_value(row, use, "is_prior"))
    listed = values if isinstance(values, list) else [values]
    flags = [None if _is_empty(value) else _FLAGS.get(str(value).strip().lower(), -1) for value in listed]
    if any(flags) and (len(flags) != images or -1 in flags):
        raise CorpusError(f"{location}: {_column(use, 'is_prior')!r} needs 1 or 0 for each image; correct the value")
    return tuple(map(bool, flags)) if any(flags) else ()


_FLAGS = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}
_MAX_OFFSET = 100_000
"""Largest offset of an image; a day has 86,400 seconds, and float32 resolves a hundredth of a second up to here."""


def _box(values: Any, location: str, images: int) -> FindingBox:
    try:
        box = FindingBox(**values)
        valid = isinstance(box.finding, str) and isinstance(box.image, int) and box.is_valid and box.image < images
    except TypeError:
        valid = False
    if not valid:
        raise CorpusError(
            f"{location}: a box in 'finding_boxes' needs finding, left, top, right, bottom and image, with edges from "
            "0 to 1 and an image of the study; correct the value"
        )
    return box


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
    if value is None:
        return None
    try:
        return float(value) if isinstance(value, bool) else float(str(value))
    except ValueError:
        return float("nan")
