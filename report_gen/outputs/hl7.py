"""Write a draft as an HL7 v2 message, type ORU^R01, version 2.5.1 (chapter 7)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from report_gen.controls import shorten
from report_gen.errors import StudyError
from report_gen.outputs.codes import REPORT, SECTIONS, SIDES, STATES, Code, finding_code
from report_gen.outputs.demographics import date_of, identifier_of, name_parts, name_representations, text_of
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.draft_terms import STATE_WORDS, finding_title
from report_gen.outputs.er7 import LINE_BREAK, SEPARATORS, Segment, encode_segment, escape, parse_message
from report_gen.outputs.hl7_names import encode_name, encode_names
from report_gen.outputs.identity import derive_report_id
from report_gen.outputs.report_file import read_report_file
from report_gen.outputs.versions import DocumentVersion
from report_gen.records import BANNER, PROGRAM, Finding, FindingState, Report, Side, Zone, strip_controls

DRAFT, NOTICE = "Draft", "Notice"
MODEL, WEIGHTS, PROGRAM_VERSION = "Model", "Weights SHA-256", "Program version"
SIDE, ZONES = "Side", {zone: f"{zone.value.capitalize()} zone" for zone in Zone}
SET_BY_USER = "Set by the user"
DICOM_STUDY = Code("113014", "DCM", "DICOM Study")
"""Name of the observation with the Study Instance UID (IHE Radiology, results distribution)."""

_PRELIMINARY = "P"
"""Status of OBR-25 (table 0123) and OBX-11 (table 0085). C is a correction of a final result. A new version of a draft
is therefore preliminary as well: it replaces the earlier message, whose filler order number (OBR-3) it repeats."""

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
        *_observations(draft.report),
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
    if request.component(25) != _PRELIMINARY:
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
            4: _coded(REPORT.meaning, REPORT),
            7: f"{day:%Y%m%d}" if day else "",
            16: "" if referring is None else f"^{encode_name(referring)}",
            18: escape(identifier_of(header, "AccessionNumber")),  # placer field 1, as in IHE Radiology
            20: escape(_study_uid(draft)),  # filler field 1
            22: _time(draft.report.provenance.created),
            24: "RAD",
            25: _PRELIMINARY,
            31: f"^{escape(reason)}" if reason else "",  # reason for study, without a code
        },
    )


def _replacement_note(earlier: _Earlier) -> str:
    return encode_segment("NTE", {1: "1", 3: f"This draft replaces the message {escape(earlier.control_id)}."})


@dataclass(frozen=True, kw_only=True)
class _Observation:
    """An OBX segment without its number."""

    name: str
    """OBX-3, encoded."""
    kind: str
    """OBX-2."""
    value: str
    """OBX-5, encoded."""
    sub_id: str = ""
    """OBX-4: the number of a finding, or the number and the part of its location."""
    probability: float | None = None
    """OBX-9."""
    set_by_user: bool = False
    """OBX-17."""

    def encode(self, number: int) -> str:
        return encode_segment(
            "OBX",
            {
                1: str(number),
                2: self.kind,
                3: self.name,
                4: self.sub_id,
                5: self.value,
                9: "" if self.probability is None else f"{self.probability:.4f}".rstrip("0").rstrip("."),
                11: _PRELIMINARY,
                17: _coded(SET_BY_USER) if self.set_by_user else "",
            },
        )


def _observations(report: Report) -> list[str]:
    found = (*_texts(report), *_findings(report), *_origin(report))
    return [observation.encode(number) for number, observation in enumerate(found, start=1)]


def _texts(report: Report) -> Iterator[_Observation]:
    yield _Observation(name=_coded(DRAFT), kind="FT", value=escape(BANNER))
    for notice in report.notices:
        yield _Observation(name=_coded(NOTICE), kind="FT", value=escape(strip_controls(notice)))
    for section in report.sections:
        code = SECTIONS[section.name]
        lines = (escape(strip_controls(sentence.text)) for sentence in section.sentences)
        yield _Observation(name=_coded(code.meaning, code), kind="FT", value=LINE_BREAK.join(filter(None, lines)))


def _findings(report: Report) -> Iterator[_Observation]:
    for number, finding in enumerate(report.findings, start=1):
        yield _Observation(
            name=_coded(strip_controls(finding_title(finding)), finding_code(finding.name)),
            kind="CE",
            value=_state(finding.state),
            sub_id=str(number),
            probability=finding.probability,
            set_by_user=finding.overridden,
        )
        yield from _location(finding.with_stated_location(), number)


def _location(finding: Finding, number: int) -> Iterator[_Observation]:
    """Yield the side and the zones of a finding, as far as anything is known about them."""
    side, zones, by_user = finding.location.side, finding.location.zones, finding.location_overridden
    if side is not Side.UNKNOWN or finding.side_probability is not None or by_user:
        yield _Observation(
            name=_coded(SIDE),
            kind="CE",
            value=_coded(side.value, SIDES.get(side)),
            sub_id=f"{number}.1",
            probability=finding.side_probability,
            set_by_user=by_user,
        )
    if zones or finding.zone_probabilities is not None:
        probabilities = finding.zone_probabilities or (None,) * len(Zone)
        for part, (zone, probability) in enumerate(zip(Zone, probabilities, strict=True), start=2):
            yield _Observation(
                name=_coded(ZONES[zone]),
                kind="CE",
                value=_state(FindingState.PRESENT if zone in zones else FindingState.ABSENT),
                sub_id=f"{number}.{part}",
                probability=probability,
                set_by_user=by_user,
            )


def _origin(report: Report) -> Iterator[_Observation]:
    """Yield the study and the model; the other parts of the provenance have no place in the message."""
    provenance = report.provenance
    if provenance.study_instance_uid is not None:
        value = f"^{escape(provenance.study_instance_uid)}^ISO"
        yield _Observation(name=_coded(DICOM_STUDY.meaning, DICOM_STUDY), kind="HD", value=value)
    for name, text in (
        (MODEL, provenance.model_name),
        (WEIGHTS, provenance.weights_sha256),
        (PROGRAM_VERSION, provenance.program_version),
    ):
        yield _Observation(name=_coded(name), kind="TX", value=escape(strip_controls(text)))


def _state(state: FindingState) -> str:
    return _coded(STATE_WORDS[state], None if state is FindingState.UNKNOWN else STATES[state])


def _coded(text: str, code: Code | None = None) -> str:
    """Return a coded element (CE). Without a code it has a text only, never an invented code."""
    return f"^{escape(text)}" if code is None else f"{code.value}^{escape(text)}^{code.scheme}"


def _time(created: str) -> str:
    """Return a time of the type TS (2.A.77), with its time zone."""
    return f"{datetime.fromisoformat(created):%Y%m%d%H%M%S%z}"
