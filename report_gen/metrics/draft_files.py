"""Read drafts that `report-gen draft` wrote: a folder of them, or drafts that were pasted into another file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from report_gen.errors import CorpusError
from report_gen.records import BANNER, SectionName, parse_report

_LARGEST_DRAFT = 16 * 2**20
_SECTION = "|".join(SectionName)
_HEAD = re.compile(rf"{re.escape(BANNER)}.*?(?=\b(?:{_SECTION})\s*:|\bDrafted by |\Z)", re.DOTALL)
"""Banner and notices of a draft, up to the first section."""
_TAIL = re.compile(r"\s*\bDrafted by .{1,300}?, weights [0-9a-f]{12}\.\s*\Z", re.DOTALL)


def read_draft_folder(folder: Path) -> dict[str, str]:
    """Read one report per file of a folder; the name of a file without suffix is the study id.

    JSON files are drafts, text files are drafts or reports. If a study has both, the JSON file is read.

    Raises:
        CorpusError: The folder contains no such file, or a file cannot be read.
    """
    reports: dict[str, str] = {}
    for suffix, read in _READERS.items():
        for file in sorted(folder.glob(f"*{suffix}")):
            if file.is_file() and file.stem not in reports:
                reports[file.stem] = read(file, _content(file))
    if not reports:
        raise CorpusError(f"{folder}: contains no drafts (.json or .txt); give the folder of `report-gen draft -o`")
    return reports


def strip_draft(text: str) -> str:
    """Return the report in the text of a draft, without banner, notices, headings and model; other texts unchanged."""
    if BANNER not in text:
        return text
    sections = parse_report(_TAIL.sub("", _HEAD.sub("", text, count=1)))
    return " ".join(section.text for section in sections)


def _content(file: Path) -> str:
    if file.stat().st_size > _LARGEST_DRAFT:
        raise CorpusError(f"{file}: larger than 16 MiB, so it is no draft; remove it")
    return file.read_text(encoding="utf-8-sig")


def _draft(file: Path, content: str) -> str:
    """Return the texts of the sections in the JSON of a draft."""
    try:
        return " ".join(str(section["text"]) for section in json.loads(content)["sections"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorpusError(
            f"{file}: not a draft of `report-gen draft`; give a folder with drafts only, or a file, "
            "such as the manifest.jsonl of a corpus"
        ) from error


def _text(_file: Path, content: str) -> str:
    return strip_draft(content).strip()


_READERS: Mapping[str, Callable[[Path, str], str]] = MappingProxyType({".json": _draft, ".txt": _text})
