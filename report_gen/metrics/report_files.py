"""Read reports by study id from CSV, TSV, JSON lines, JSON, annotation.json, plain text, or files of one report."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from report_gen.csv_header import find_separator, skip_separator_line
from report_gen.errors import CorpusError, describe_missing, name_path
from report_gen.metrics.draft_files import REPORT_SUFFIXES, read_draft_folder, read_report_text, strip_draft
from report_gen.records import BANNER

Role = Literal["prediction", "reference"]

ID_COLUMNS = (
    "id",
    "study_id",
    "dicom_id",
    "uid",
    "image_id",
    "study",
    "accession",
    "accession_number",
    "filename",
    "name",
)
TEXT_COLUMNS: Mapping[Role, tuple[str, ...]] = MappingProxyType(
    {
        "prediction": (
            *("prediction", "predictions", "predicted", "generated", "generated_report", "generation", "hypothesis"),
            *("candidate", "draft", "output", "report", "text", "findings", "caption", "impression"),
        ),
        "reference": (
            *("reference", "references", "ground_truth", "gt", "target", "label", "report", "text", "findings"),
            *("caption", "impression"),
        ),
    }
)
"""Column names under which texts are found, the most likely first; case is ignored."""

_LONGEST_LINE = 16 * 2**20
_LARGEST_JSON = 2**30
_ANNOTATION = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"(?:train|val|validate|test)"\s*:\s*\[')
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")  # ids are printed, so they must not contain terminal control characters
_NOT_TEXT = frozenset({"nan", "null", "none", "n/a", "<na>"})
_Record = Mapping[str, Any]


def read_reports(
    path: Path, *, role: Role = "reference", id_column: str | None = None, split: str = "test"
) -> dict[str, str]:
    """Read report texts by study id, in the order of the file. Banner, notices and model of a draft are removed.

    Args:
        path: File of reports; the format follows the suffix. In plain text files the line numbers, from 1, are the ids.
            Or a folder with one file per study, such as the output folder of `report-gen draft`, or one FHIR, HL7 or
            DICOM SR file.
        role: Whether columns of predictions or of references are preferred.
        id_column: Name of the id column; found by name if None.
        split: Which split of an annotation.json is read.

    Raises:
        CorpusError: The file cannot be read, or a row has no id, no text, "nan" as text, or a repeated id.
    """
    reader = _READERS.get(path.suffix.lower())
    if not path.exists():
        raise CorpusError(f"{name_path(path)}: {describe_missing(path, 'there is no such file; check the path')}")
    is_report = path.is_file() and path.name.endswith(REPORT_SUFFIXES)
    if reader is None and not path.is_dir() and not is_report:
        known = ", ".join(sorted((*_READERS, *REPORT_SUFFIXES)))
        raise CorpusError(f"{path}: the suffix names no known format; use one of {known}")
    try:
        if is_report:
            return read_report_text(path)
        if path.is_dir() or reader is None:
            return read_draft_folder(path)
        reports = _by_id(path, reader(path, split), role, id_column)
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 (byte {error.start} of a line); save the file as UTF-8") from error
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    except (csv.Error, json.JSONDecodeError, RecursionError) as error:
        raise CorpusError(f"{path}: damaged ({error}); write the file again") from error
    if not reports:
        raise CorpusError(f"{path}: contains no reports; give another file")
    return reports


def is_annotation(path: Path) -> bool:
    """Return whether a file is an annotation.json: an object that begins with a list under the name of a split."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with path.open("rb") as file:
        return _ANNOTATION.match(file.read(64)) is not None


def _csv(path: Path, _split: str) -> Sequence[_Record]:
    lines = skip_separator_line(_lines(path))
    header = next(lines, "")
    return [
        {str(key): value for key, value in row.items() if key is not None}
        for row in csv.DictReader(chain([header], lines), delimiter=find_separator(header), strict=True)
    ]


def _json_lines(path: Path, _split: str) -> Sequence[_Record]:
    return [_record(path, number, json.loads(line)) for number, line in enumerate(_lines(path), 1) if line.strip()]


def _json(path: Path, split: str) -> Sequence[_Record]:
    """Read an annotation.json ({split: [records]}), a list of records, or {id: text}."""
    table = _load_json(path)
    if isinstance(table, dict) and all(isinstance(value, str) for value in table.values()):
        return [{"id": key, "report": value} for key, value in table.items()]
    if isinstance(table, dict):
        if not isinstance(table.get(split), list):
            raise CorpusError(
                f"{path}: has no split {split!r}, only {', '.join(sorted(table)[:6])}; choose one of these"
            )
        table = table[split]
    if not isinstance(table, list):
        raise CorpusError(f"{path}: neither an annotation.json nor a list of records; give one of these")
    return [_record(path, number, entry) for number, entry in enumerate(table, 1)]


def _plain(path: Path, _split: str) -> Sequence[_Record]:
    records = [{"id": str(number), "report": line.rstrip("\r\n")} for number, line in enumerate(_lines(path), 1)]
    if draft := next((record["id"] for record in records if record["report"].strip() == BANNER), None):
        raise CorpusError(
            f"{path}: line {draft} begins a draft, but this format has one text per line; give the folder of the drafts"
        )
    return records


_READERS: Mapping[str, Callable[[Path, str], Sequence[_Record]]] = MappingProxyType(
    {".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json, ".txt": _plain}
)


def _load_json(path: Path) -> Any:
    if path.stat().st_size > _LARGEST_JSON:
        raise CorpusError(f"{path}: larger than 1 GiB; give the reports as .jsonl")
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file; refuse lines so long that a file without line ends would fill the memory."""
    with path.open("rb") as raw, io.BufferedReader(raw) as file:
        number = 0
        while line := file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise CorpusError(f"{path}: line {number} is longer than 16 MiB; give a file of reports")
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")


def _record(path: Path, number: int, entry: object) -> _Record:
    if not isinstance(entry, dict):
        raise CorpusError(f"{path}: entry {number} is not an object; write objects with an id and a text")
    return entry


def _by_id(path: Path, records: Sequence[_Record], role: Role, id_column: str | None) -> dict[str, str]:
    if not records:
        return {}
    columns = list(records[0])
    id_key = _find_column(path, columns, (id_column,) if id_column else ID_COLUMNS, "id", "name it with --id-column")
    text_key = _find_column(path, columns, TEXT_COLUMNS[role], "report text", "rename the column to 'report'")
    reports: dict[str, str] = {}
    repeated: list[str] = []
    for number, record in enumerate(records, 1):
        name, text = _id(path, number, record, id_key), _text(path, number, record, text_key)
        if name in reports:
            repeated.append(name)
        reports[name] = text
    if repeated:
        raise CorpusError(f"{path}: {list_ids(repeated)} more than once; keep one report for each")
    return reports


def list_ids(ids: Sequence[str]) -> str:
    """Format ids for a message: their number and at most five of them."""
    first = ", ".join(ids[:5])
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"{len(ids)} id{'' if len(ids) == 1 else 's'} ({first}{more})"


def _find_column(path: Path, columns: Sequence[str], wanted: Sequence[str], what: str, remedy: str) -> str:
    by_name = {column.strip().lower(): column for column in reversed(columns)}
    for name in wanted:
        if name.lower() in by_name:
            return by_name[name.lower()]
    raise CorpusError(f"{path}: no column for the {what} among {', '.join(columns[:8])}; {remedy}")


def _id(path: Path, number: int, record: _Record, column: str) -> str:
    value = record.get(column)
    if not isinstance(value, str | int) or isinstance(value, bool) or not _NAME.fullmatch(str(value).strip()):
        raise CorpusError(f"{path}: entry {number} has no usable id in column {column!r}; give it a text or a number")
    return str(value).strip()


def _text(path: Path, number: int, record: _Record, column: str) -> str:
    value = record.get(column)
    if not isinstance(value, str) or value.strip().lower() in _NOT_TEXT:
        raise CorpusError(
            f"{path}: entry {number} has no text in column {column!r}; write an empty string for an empty draft"
        )
    return strip_draft(value)
