"""Read reports from HL7 v2 messages (ORU^R01): drafts of `report_gen.outputs.hl7`, and texts of other programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from report_gen.outputs import hl7_observations as hl7
from report_gen.outputs.codes import SECTIONS
from report_gen.outputs.draft_terms import FROM_TEXT, parse_title
from report_gen.outputs.er7 import Segment, parse_message
from report_gen.reading.plain_reports import (
    WithdrawnReportError,
    cut_plain_report,
    empty_provenance,
    known_state,
    known_time,
    known_word,
    plain_report,
)
from report_gen.records import (
    PROGRAM,
    Finding,
    FindingLocation,
    FindingState,
    Provenance,
    Report,
    Section,
    Sentence,
    Side,
    Zone,
)

_NAME, _SUB_ID, _VALUE, _PROBABILITY, _METHOD = 3, 4, 5, 9, 17
"""Fields of an OBX segment (HL7 2.5.1 7.4.2)."""
_TEXT_TYPES = ("FT", "TX", "ST")
_SUFFIXES = {"GDT": "findings", "IMP": "impression"}
"""Section of the suffixes by which radiology systems mark the lines of a report (HL7 2.5.1 7.1.4)."""

_REPORT_STATUS, _STATUS = 25, 11
"""Fields of OBR and OBX."""
_NO_RESULT = frozenset("DINOWX")
"""Statuses of an OBX whose value is no result (HL7 table 0085): D deleted, I pending, N not asked, O description of the
order, W wrong, for example of another patient, X cannot be obtained."""
_ORDER_CONTROL, _ORDER_STATUS = 1, 5
"""Fields of ORC."""
_CANCELED = frozenset(("CA", "CR", "OC"))
"""Order control codes (HL7 table 0119): cancel the order, canceled as requested, order canceled."""


def parse_hl7_report(content: bytes) -> Report:
    """Return the report in a message.

    Args:
        content: The message, encoded in UTF-8.

    Raises:
        ValueError: The content is not an ORU message, contains several reports, or is not valid.
        WithdrawnReportError: The report or its order was withdrawn.
    """
    segments = parse_message(content)
    kind = segments[0].component(9)
    requests = [segment for segment in segments if segment.name == "OBR"]
    if kind != "ORU" or len(requests) != 1:
        raise ValueError(f"the message has the type {kind[:10]!r} and {len(requests)} reports; give an ORU with one")
    _refuse_withdrawn(segments)
    observations = [one for one in segments if one.name == "OBX"]
    results = [one for one in observations if _is_result(one)]
    if segments[0].component(3) != PROGRAM:
        return _text_of_others(results)
    _check_complete(observations)
    unnumbered = [one for one in results if not one.raw(_SUB_ID)]
    return Report(
        sections=tuple(_sections(unnumbered)),
        findings=tuple(_findings(observations)),
        notices=tuple(" ".join(one.lines(_VALUE)) for one in unnumbered if one.component(_NAME, 2) == hl7.NOTICE),
        provenance=_provenance(requests[0], unnumbered),
    )


def _refuse_withdrawn(segments: Sequence[Segment]) -> None:
    for one in segments:
        if one.name == "OBR" and one.component(_REPORT_STATUS) == "X":
            raise WithdrawnReportError("the report was withdrawn (OBR-25 X)")
        if one.name == "ORC" and (one.component(_ORDER_CONTROL) in _CANCELED or one.component(_ORDER_STATUS) == "CA"):
            raise WithdrawnReportError("the order of the report was canceled (ORC)")


def _check_complete(observations: Sequence[Segment]) -> None:
    """Raise ValueError if a message of report-gen was cut: the version of the program is its last observation."""
    last = observations[-1] if observations else None
    if last is None or last.component(_NAME, 2) != hl7.PROGRAM_VERSION or not last.raw(_STATUS):
        raise ValueError("the message ends before its last observation")


def _is_result(observation: Segment) -> bool:
    return observation.component(_STATUS) not in _NO_RESULT


def _text_of_others(observations: Sequence[Segment]) -> Report:
    """Return the text of a message of another program, by the codes and suffixes of its lines or by its headings."""
    texts: dict[str, list[str]] = {}
    for one in observations:
        if one.component(2) in _TEXT_TYPES:
            texts.setdefault(_section_name(one), []).extend(one.lines(_VALUE))
    if texts.get("findings") or texts.get("impression"):
        return plain_report({name: " ".join(lines) for name, lines in texts.items()})
    return cut_plain_report("\n".join(line for lines in texts.values() for line in lines))


def _section_name(observation: Segment) -> str:
    """Return "findings", "impression" or an empty string."""
    code = observation.raw(_NAME).split(observation.separators[1])[0]
    for name, section_code in SECTIONS.items():
        if code == section_code.value:
            return name.value.lower()
    return _SUFFIXES.get(code.rpartition(observation.separators[4])[2], "")


def _sections(observations: Sequence[Segment]) -> Iterator[Section]:
    names = {code.value: name for name, code in SECTIONS.items()}
    for one in observations:
        if (name := names.get(one.component(_NAME))) is not None:
            yield Section(name, tuple(map(Sentence, one.lines(_VALUE))))


def _findings(observations: Sequence[Segment]) -> Iterator[Finding]:
    numbered = (one for one in observations if one.raw(_SUB_ID))
    for _, group in groupby(numbered, key=lambda one: one.raw(_SUB_ID).partition(".")[0]):
        finding, *parts = group
        if "." in finding.raw(_SUB_ID):
            raise ValueError("a location belongs to no finding")
        if _is_result(finding):
            yield _finding(finding, {part.component(_NAME, 2): part for part in parts if _is_result(part)})


def _finding(finding: Segment, parts: dict[str, Segment]) -> Finding:
    side = parts.get(hl7.SIDE)
    zones = {zone: parts[hl7.ZONES[zone]] for zone in Zone if hl7.ZONES[zone] in parts}
    present = frozenset(zone for zone, part in zones.items() if _state(part) is FindingState.PRESENT)
    probabilities = [probability for part in zones.values() if (probability := _probability(part)) is not None]
    name, means_normal = parse_title(finding.component(_NAME, 2))
    return Finding(
        name=name,
        means_normal=means_normal,
        state=_state(finding),
        probability=_probability(finding),
        overridden=_is_set_by_user(finding),
        from_text=finding.component(_METHOD, 2) == FROM_TEXT,
        location=FindingLocation(
            Side.UNKNOWN if side is None else known_word(Side, side.component(_VALUE, 2)), present
        ),
        location_overridden=any(map(_is_set_by_user, parts.values())),
        side_probability=None if side is None else _probability(side),
        zone_probabilities=tuple(probabilities) if len(probabilities) == len(Zone) else None,
    )


def _state(observation: Segment) -> FindingState:
    return known_state(observation.component(_VALUE, 2))


def _probability(observation: Segment) -> float | None:
    text = observation.raw(_PROBABILITY)
    if text and not re.fullmatch(r"0|1|0\.\d{1,20}", text):
        raise ValueError("OBX-9 is not a probability")
    return float(text) if text else None


def _is_set_by_user(observation: Segment) -> bool:
    return observation.component(_METHOD, 2) == hl7.SET_BY_USER


def _provenance(request: Segment, observations: Sequence[Segment]) -> Provenance:
    named = {one.component(_NAME, 2): one for one in reversed(observations)}

    def text(name: str) -> str:
        return named[name].component(_VALUE) if name in named else ""

    study = named.get(hl7.DICOM_STUDY.meaning)
    return replace(
        empty_provenance(None if study is None else study.component(_VALUE, 2)),
        model_name=text(hl7.MODEL),
        weights_sha256=text(hl7.WEIGHTS),
        model_revision=text(hl7.REVISION),
        endpoint=text(hl7.ENDPOINT),
        program_version=text(hl7.PROGRAM_VERSION),
        created=known_time(request.component(22), "OBR-22"),
    )
