"""Read drafts that `report-gen draft` wrote: files, a folder of them, or drafts that were pasted into another file."""

from __future__ import annotations

import re
from pathlib import Path

from report_gen.errors import CorpusError, StudyError
from report_gen.records import BANNER, SectionName, parse_report

REPORT_SUFFIXES = (".fhir.json", ".hl7", ".sr.dcm", ".dcm")
"""Suffixes of files that contain one report, whatever program wrote it."""

_PREFERRED = (".json", *REPORT_SUFFIXES, ".txt")
"""Suffixes of the files in a folder. If a study has several, the first kind is read."""
_LARGEST_TEXT = 16 * 2**20
_SECTION = "|".join(SectionName)
_HEAD = re.compile(rf"{re.escape(BANNER)}.*?(?=\b(?:{_SECTION})\s*:|\bDrafted by |\Z)", re.DOTALL)
"""Banner and notices of a draft, up to the first section."""
_TAIL = re.compile(r"\s*\bDrafted by .{1,300}?, weights [0-9a-f]{12}\.\s*\Z", re.DOTALL)


def read_draft_folder(folder: Path) -> dict[str, str]:
    """Read one report per study of a folder; the name of a file without suffix is the study id.

    JSON files are drafts. FHIR, HL7 and DICOM files are drafts or reports of other programs; DICOM objects without text
    are left out. Text files are drafts or reports.

    Raises:
        CorpusError: The folder contains no such file, or a file cannot be read.
    """
    files = [(file, _suffix(file.name)) for file in sorted(folder.iterdir()) if file.is_file()]
    reports: dict[str, str] = {}
    for preferred in _PREFERRED:
        for file, suffix in files:
            name = file.name.removesuffix(suffix)
            if suffix == preferred and name not in reports and (text := _read(file, suffix)) is not None:
                reports[name] = text
    if not reports:
        raise CorpusError(
            f"{folder}: contains no drafts or reports ({', '.join(_PREFERRED)}); "
            "give the folder of `report-gen draft -o`"
        )
    return reports


def read_report_text(file: Path) -> dict[str, str]:
    """Read the report in a file with one of `REPORT_SUFFIXES`; the name without suffix is the study id.

    Raises:
        CorpusError: The file cannot be read, or contains no report.
    """
    suffix = _suffix(file.name)
    text = _read(file, suffix)
    if text is None:
        raise CorpusError(f"{file}: a DICOM object without the text of a report; give a structured report")
    return {file.name.removesuffix(suffix): text}


def strip_draft(text: str) -> str:
    """Return the report in the text of a draft, without banner, notices, headings and model; other texts unchanged."""
    if BANNER not in text:
        return text
    sections = parse_report(_TAIL.sub("", _HEAD.sub("", text, count=1)))
    return " ".join(section.text for section in sections)


def _suffix(name: str) -> str:
    """Return the longest suffix of a report that a file name has; empty for other names."""
    return max((suffix for suffix in _PREFERRED if name.endswith(suffix)), key=len, default="")


def _read(file: Path, suffix: str) -> str | None:
    """Return the text of a report; None for a DICOM object without text."""
    from report_gen.reading import read_report, read_structured_report  # takes 0.2 s to import

    if suffix == ".txt":
        return strip_draft(_content(file)).strip()
    try:
        if suffix == ".dcm":
            found = read_structured_report(file)
            texts = {} if found is None else found.texts
            return " ".join(texts[name] for name in ("findings", "impression") if name in texts) or None
        return " ".join(section.text for section in read_report(file).sections)
    except StudyError as error:
        raise CorpusError(
            f"{file}: not a draft of `report-gen draft` ({error.reason}); give a folder with drafts only, or a file, "
            "such as the manifest.jsonl of a corpus"
        ) from error


def _content(file: Path) -> str:
    if file.stat().st_size > _LARGEST_TEXT:
        raise CorpusError(f"{file}: larger than 16 MiB, so it is no draft; remove it")
    return file.read_text(encoding="utf-8-sig")
