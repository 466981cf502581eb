"""Read a report from a file of any known format."""

from __future__ import annotations

import os
from pathlib import Path

from report_gen.errors import StudyError
from report_gen.outputs.report_file import read_report_file
from report_gen.reading.plain_reports import NoReportError, WithdrawnReportError
from report_gen.records import BANNER, Report
from report_gen.strict_json import parse_json

_EXPECTED = "give a draft as JSON, TXT, FHIR (JSON), HL7 v2 (ER7) or a DICOM SR"


def read_report(path: str | os.PathLike[str], *, plain_text: bool = False) -> Report:
    """Read a report from a file. The format follows from the content, not from the name of the file.

    What its author has withdrawn is not read: in FHIR a report or an observation that is cancelled or entered in error,
    in HL7 a canceled order or an observation without a result (OBR-25, ORC, OBX-11). A DICOM SR has no such status.

    Drafts of report-gen are read as JSON, TXT, FHIR (JSON), HL7 v2 (ER7) and DICOM SR (text or coded findings).
    `report_gen.reading` says what each format keeps. FHIR, HL7 and DICOM SR of other programs give the text of findings
    and impression; their provenance is empty.

    Args:
        path: The file.
        plain_text: Also read a text that is no draft, and split it by its headings.

    Returns:
        The report. What the file does not state is empty.

    Raises:
        StudyError: The file cannot be read, is larger than 32 MiB, is damaged, is not a report, or was withdrawn.
    """
    path = Path(path)
    content = read_report_file(path)
    start = content[:200].lstrip(b"\xef\xbb\xbf\v \t\r\n")
    if not start and not content.strip():
        raise StudyError(path, "the file is empty; write or export it again")
    if content[128:132] == b"DICM" or not start.startswith((b"MSH", b"{", b"[", BANNER.encode())):
        if plain_text and (text := _plain_text(content)):
            from report_gen.reading.plain_reports import cut_plain_report

            return cut_plain_report(text)
        return _read_dicom(path, content[:132])
    try:
        return _read(content, start)
    except WithdrawnReportError as error:
        raise StudyError(path, f"{error}; give the report that replaces it") from error
    except NoReportError as error:
        raise StudyError(path, f"not a report ({error}); {_EXPECTED}") from error
    except ValueError as error:
        raise StudyError(path, f"not a report, or damaged ({error}); write or export the file again") from error


def _plain_text(content: bytes) -> str:
    """Return a text in UTF-8; empty for content of another kind, which has control characters."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return ""
    return text if all(character >= " " or character.isspace() for character in text) else ""


def _read_dicom(path: Path, head: bytes) -> Report:
    """Return the report in a DICOM file, which is not of a text format. pydicom takes a fifth of a second to import."""
    from report_gen.imaging import is_dicom
    from report_gen.reading.draft_objects import read_draft_object
    from report_gen.reading.structured_reports import read_sr_report

    if not is_dicom(head):
        raise StudyError(path, f"not a report; {_EXPECTED}")
    return read_draft_object(path) or read_sr_report(path)


def _read(content: bytes, start: bytes) -> Report:
    """Return the report in the content of a file. Each reader raises ValueError for damaged content.

    Each reader is imported when it is needed: pydantic takes a tenth of a second, and FHIR and HL7 import pydicom.
    """
    if start.startswith(b"MSH"):
        from report_gen.reading.hl7_reports import parse_hl7_report

        return parse_hl7_report(content)
    if start.startswith((b"{", b"[")):
        document = parse_json(content)
        if not isinstance(document, dict):
            raise NoReportError("its JSON is a list and no object")
        if "resourceType" in document:
            from report_gen.reading.fhir_reports import parse_fhir_report

            return parse_fhir_report(document)
        from report_gen.reading.json_reports import parse_json_report

        return parse_json_report(document)
    from report_gen.reading.text_reports import parse_text_report

    return parse_text_report(content.decode("utf-8-sig"))
