"""Read drafts that `report-gen draft` wrote: files, a folder of them, or drafts that were pasted into another file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from report_gen.errors import CorpusError, StudyError
from report_gen.records import BANNER, DESCRIBING_SECTIONS, SectionName, parse_report

REPORT_SUFFIXES = (".fhir.json", ".hl7", ".sr.dcm", ".dcm")
"""Suffixes of files that contain one report, whatever program wrote it."""

_PREFERRED = (".json", *REPORT_SUFFIXES, ".txt")
"""Suffixes of the files in a folder. If a study has several, the first kind is read."""
_VERSION = re.compile(r"(.+)-v([2-9]|[1-9]\d{1,5})")
"""Name of the file of a later version, without suffix, as `report-gen draft --revises` writes it."""
_LARGEST_TEXT = 16 * 2**20
_SECTION = "|".join(SectionName)
_HEAD = re.compile(rf"{re.escape(BANNER)}.*?(?=\b(?:{_SECTION})\s*:|\bDrafted by |\Z)", re.DOTALL)
"""Banner and notices of a draft, up to the first section."""
_TAIL = re.compile(
    r"(?:\s*\bCompared with the prior study .{1,100}?\.)?\s*\bDrafted by .{1,300}?, weights [0-9a-f]{12}\.\s*\Z",
    re.DOTALL,
)


def read_draft_folder(folder: Path) -> dict[str, str]:
    """Read one report per study of a folder; the name of a file without suffix is the study id.

    NAME-v2, NAME-v3 and so on are later versions of the study NAME if the folder has NAME; the newest version with a
    text counts, see `notice_versions`.

    JSON files are drafts. FHIR, HL7 and DICOM files are drafts or reports of other programs; DICOM objects without text
    are left out. Text files are drafts or reports.

    Raises:
        CorpusError: The folder contains no such file, or a file cannot be read.
    """
    files = sorted(_list_files(folder), key=lambda file: (-file.version, _PREFERRED.index(file.suffix)))
    reports: dict[str, str] = {}
    for file in files:
        if file.study not in reports and (text := _read(file.path, file.suffix)) is not None:
            reports[file.study] = text
    if not reports:
        raise CorpusError(
            f"{folder}: contains no drafts or reports ({', '.join(_PREFERRED)}); "
            "give the folder of `report-gen draft -o`"
        )
    return reports


def notice_versions(path: Path) -> list[str]:
    """Return a notice if the newest of several versions counts for some studies of a folder."""
    if not path.is_dir():
        return []
    later = [file for file in _list_files(path) if file.version > 1]
    if not later:
        return []
    studies = len({file.study for file in later})
    newest = max(later, key=lambda file: file.version).path.name
    return [f"{path}: studies with several versions: {studies}; the newest counts, such as {newest}"]


def read_study_uids(folder: Path) -> dict[str, str]:
    """Return the Study Instance UIDs in the drafts of a folder, by the name of the study.

    Studies whose drafts contain none are left out.

    Raises:
        CorpusError: A file cannot be read.
    """
    from report_gen.reading import read_report  # imports pydantic

    uids: dict[str, str] = {}
    for file in _list_files(folder):
        if file.suffix == ".txt" or file.study in uids:
            continue
        try:
            uid = read_report(file.path).provenance.study_instance_uid
        except StudyError:  # a DICOM object without text; `read_draft_folder` has read the others
            continue
        if uid:
            uids[file.study] = uid
    return uids


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
    """Return what describes the images in the text of a draft, without headings; other texts unchanged."""
    if BANNER not in text:
        return text
    sections = parse_report(_TAIL.sub("", _HEAD.sub("", text, count=1)))
    return " ".join(section.text for section in sections if section.name in DESCRIBING_SECTIONS)


class _ReportFile(NamedTuple):
    """A file of a folder that may contain a report."""

    path: Path
    suffix: str
    study: str
    version: int


def _list_files(folder: Path) -> list[_ReportFile]:
    """Return the files with the suffix of a report, in the order of their names."""
    files = [(file, suffix) for file in sorted(folder.iterdir()) if (suffix := _suffix(file.name)) and file.is_file()]
    names = {file.name.removesuffix(suffix) for file, suffix in files}
    found = []
    for file, suffix in files:
        name = file.name.removesuffix(suffix)
        later = _VERSION.fullmatch(name)
        if later is not None and later[1] in names:
            found.append(_ReportFile(file, suffix, later[1], int(later[2])))
        else:
            found.append(_ReportFile(file, suffix, name, 1))
    return found


def _suffix(name: str) -> str:
    """Return the longest suffix of a report that a file name has; empty for other names."""
    return max((suffix for suffix in _PREFERRED if name.endswith(suffix)), key=len, default="")


def _read(file: Path, suffix: str) -> str | None:
    """Return the text of a report; None for a DICOM object without text."""
    if suffix == ".txt":
        return strip_draft(_content(file)).strip()
    try:
        if suffix == ".dcm":
            from report_gen.reading import read_structured_report  # imports pydicom, which takes 0.2 s

            found = read_structured_report(file)
            texts = {} if found is None else found.texts
            return " ".join(texts[name] for name in ("findings", "impression") if name in texts) or None
        from report_gen.reading import read_report  # imports pydantic

        return " ".join(section.text for section in read_report(file).describing_sections)
    except StudyError as error:
        raise CorpusError(
            f"{file}: not a draft of `report-gen draft` ({error.reason}); give a folder with drafts only, or a file, "
            "such as the manifest.jsonl of a corpus"
        ) from error


def _content(file: Path) -> str:
    if file.stat().st_size > _LARGEST_TEXT:
        raise CorpusError(f"{file}: larger than 16 MiB, so it is not a draft; remove it")
    return file.read_text(encoding="utf-8-sig")
