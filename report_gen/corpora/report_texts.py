"""Read the reports that lie beside the images of a corpus: texts, and files of other formats with one report each."""

from __future__ import annotations

from pathlib import Path

from report_gen.corpora.text_files import read_text
from report_gen.errors import CorpusError, StudyError
from report_gen.labeling import cut_report
from report_gen.reading import read_report
from report_gen.records import BANNER, SectionName

REPORT_SUFFIXES = (".txt", ".hl7", ".fhir.json", ".json")
"""Suffixes of reports, the preferred one first."""


def report_stem(path: Path) -> str | None:
    """Return the file name without its suffix if the file is a report by its name; None for other files.

    Many programs write JSON files beside images, so other JSON than FHIR must begin as a draft of report-gen does.
    """
    suffix = next((suffix for suffix in REPORT_SUFFIXES if path.name.lower().endswith(suffix)), None)
    if suffix is None or (suffix == ".json" and not _is_draft(path)):
        return None
    return path.name[: -len(suffix)]


def read_report_texts(path: Path) -> dict[str, str]:
    """Return the texts of a report by field name of `Example`.

    Raises:
        CorpusError: The file cannot be read, or is damaged.
    """
    text = read_text(path) if path.name.lower().endswith(".txt") else None
    if text is not None and not text.startswith(BANNER):
        return cut_report(text)
    try:
        report = read_report(path)
    except StudyError as error:
        raise CorpusError(str(error)) from error
    known = (section for section in report.sections if section.text and section.name is not SectionName.TECHNIQUE)
    return {section.name.value.lower(): section.text for section in known}


def _is_draft(path: Path) -> bool:
    try:
        if not path.is_file():  # a pipe may never end
            return False
        with path.open("rb") as file:
            start = file.read(300)
    except OSError:
        return False
    return b'"schema_version"' in start and BANNER.encode() in start
