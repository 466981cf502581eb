"""Write a draft as an HL7 v2 message, type ORU^R01, version 2.5.1 (chapter 7)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from report_gen.controls import shorten
from report_gen.errors import StudyError
from report_gen.outputs.codes import REPORT
from report_gen.outputs.demographics import date_of, identifier_of, name_parts, name_representations, text_of
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.er7 import SEPARATORS, Segment, encode_segment, escape, parse_message
from report_gen.outputs.hl7_names import encode_name, encode_names
from report_gen.outputs.hl7_observations import PRELIMINARY, coded, observations
from report_gen.outputs.identity import derive_report_id
from report_gen.outputs.report_file import read_report_file
from report_gen.outputs.versions import DocumentVersion
from report_gen.records import PROGRAM

_LONGEST_REASON = 196
"""Characters of OBR-31 without "...": a coded element has at most 199 (CE.2, 2.A.3). The OBX has the whole text."""

_REMEDY = "give an earlier file of the format hl7 and the same study"


def format_hl7(draft: DraftDocument) -> bytes:
    """Write a draft as an ORU^R01 message in ER7, UTF-8, with CR at the end of each segment.

    The first OBX states that the document is a draft. Each section is one OBX of formatted text with one sentence per
    line. The same draft gives the same message.

    Args:
        draft: The draft. With `draft.revises`, the message replaces the message in that file.

    Raises:
        StudyError: An image of the study cannot be read any more, or the file that the draft revises is not a message
            of report-gen about the same study.
    """
    earlier = None if draft.revises is None else _read_earlier(draft.revises, draft)
    segments = [
        _patient(draft),
        _request(draft, f"2.25.{derive_report_id(draft).int}" if earlier is None else earlier.filler_number),
        *([] if earlier is None else [_replacement_note(earlier)]),
        *observations(draft.report),
    ]
    # The control ID identifies the message and has at most 20 characters (2.14.9.10).
    control_id = hashlib.sha256("\r".join(segments).encode()).hexdigest()[:20]
    return "".join(f"{segment}\r" for segment in (_header(draft, control_id), *segments)).encode()


@dataclass(frozen=True)
class _Earlier:
    """The message that a draft replaces."""

    filler_number: str
    control_id: str


def read_message_version(path: Path) -> DocumentVersion:
    """Return the version of a message: its filler order number, and its time in seconds, because it has no number.

    Raises:
        StudyError: The file is not a message that report-gen wrote.
    """
    header, request = _read_message(path)
    try:
        time = datetime.strptime(header.component(7), "%Y%m%d%H%M%S%z")
    except ValueError as error:
        raise _not_ours(path) from error
    return DocumentVersion(request.component(3), int(time.timestamp()))


def _read_message(path: Path) -> tuple[Segment, Segment]:
    """Return the segments MSH and OBR of a message that report-gen wrote."""
    try:
        segments = {segment.name: segment for segment in reversed(parse_message(read_report_file(path)))}
        header, request = segments["MSH"], segments["OBR"]
    except (ValueError, KeyError) as error:
        raise _not_ours(path) from error
    if header.component(3) != PROGRAM or not re.fullmatch(r"2\.25\.\d{1,39}", request.component(3)):
        raise _not_ours(path)
    return header, request


def _read_earlier(path: Path, draft: DraftDocument) -> _Earlier:
    header, request = _read_message(path)
    if request.component(20) != _study_uid(draft):
        raise StudyError(path, f"the earlier version belongs to another study; {_REMEDY}")
    if request.component(25) != PRELIMINARY:
        raise StudyError(
            path, "it is final or withdrawn (OBR-25), so no draft replaces it; write the new draft beside it"
        )
    return _Earlier(request.component(3), header.component(10))


def _not_ours(path: Path) -> StudyError:
    return StudyError(path, f"not an HL7 message that report-gen wrote; {_REMEDY}")


def _study_uid(draft: DraftDocument) -> str:
    return str(draft.source.attributes.StudyInstanceUID)


def _header(draft: DraftDocument, control_id: str) -> str:
    return encode_segment(
        "MSH",
        {
            2: SEPARATORS[1:],
            3: PROGRAM,
            7: _time(draft.report.provenance.created),
            9: "ORU^R01^ORU_R01",
            10: control_id,
            11: "P",  # processing ID "production", table 0103
            12: "2.5.1",
            18: "UNICODE UTF-8",
        },
    )


def _patient(draft: DraftDocument) -> str:
    header = draft.source.attributes
    names = name_representations(header, "PatientName")
    born = date_of(header, "PatientBirthDate")
    sex = text_of(header, "PatientSex")
    return encode_segment(
        "PID",
        {
            1: "1",
            3: _patient_id(identifier_of(header, "PatientID"), identifier_of(header, "IssuerOfPatientID")),
            5: encode_names(names) if names else "^^^^^^U",  # name type "unspecified", table 0200
            7: f"{born:%Y%m%d}" if born else "",
            8: sex if sex in ("M", "F", "O") else "U",
        },
    )


def _patient_id(number: str, issuer: str) -> str:
    """Return PID-3, which is required: without a Patient ID an identifier of the type "unspecified" (table 0203)."""
    return f"{escape(number)}^^^{escape(issuer)}".rstrip("^") if number else "^^^^U"


def _request(draft: DraftDocument, filler_number: str) -> str:
    header = draft.source.attributes
    referring = name_parts(header, "ReferringPhysicianName")
    day = date_of(header, "StudyDate")
    reason = shorten(draft.report.indication, _LONGEST_REASON)
    return encode_segment(
        "OBR",
        {
            1: "1",
            3: f"{filler_number}^{PROGRAM}",
            4: coded(REPORT.meaning, REPORT),
            7: f"{day:%Y%m%d}" if day else "",
            16: "" if referring is None else f"^{encode_name(referring)}",
            18: escape(identifier_of(header, "AccessionNumber")),  # placer field 1, as in IHE Radiology
            20: escape(_study_uid(draft)),  # filler field 1
            22: _time(draft.report.provenance.created),
            24: "RAD",
            25: PRELIMINARY,
            31: f"^{escape(reason)}" if reason else "",  # reason for study, without a code
        },
    )


def _replacement_note(earlier: _Earlier) -> str:
    return encode_segment("NTE", {1: "1", 3: f"This draft replaces the message {escape(earlier.control_id)}."})


def _time(created: str) -> str:
    """Return a time of the type TS (2.A.77), with its time zone."""
    return f"{datetime.fromisoformat(created):%Y%m%d%H%M%S%z}"
