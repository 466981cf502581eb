"""Write the content of a draft as observations (OBX) of an HL7 v2 message (2.5.1, 7.4.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from report_gen.outputs.codes import SECTIONS, SIDES, STATES, Code, finding_code
from report_gen.outputs.draft_terms import FROM_TEXT, STATE_WORDS, finding_title
from report_gen.outputs.er7 import LINE_BREAK, encode_segment, escape
from report_gen.records import BANNER, Finding, FindingState, Report, Side, Zone, strip_controls

DRAFT, NOTICE = "Draft", "Notice"
MODEL, WEIGHTS, REVISION, PROGRAM_VERSION = "Model", "Weights SHA-256", "Model revision", "Program version"
ORIGIN_OF_FINDINGS, ENDPOINT = "Origin of the findings", "Images sent to"
SIDE, ZONES = "Side", {zone: f"{zone.value.capitalize()} zone" for zone in Zone}
SET_BY_USER = "Set by the user"
DICOM_STUDY = Code("113014", "DCM", "DICOM Study")
"""Name of the observation with the Study Instance UID (IHE Radiology, results distribution)."""

PRELIMINARY = "P"
"""Status of OBR-25 (table 0123) and OBX-11 (table 0085). C is a correction of a final result. A new version of a draft
is therefore preliminary as well: it replaces the earlier message, whose filler order number (OBR-3) it repeats."""


def observations(report: Report) -> list[str]:
    """Return the segments with the texts, the findings and the origin of a draft, in this order."""
    found = (*_texts(report), *_findings(report), *_origin(report))
    return [observation.encode(number) for number, observation in enumerate(found, start=1)]


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
    method: str = ""
    """OBX-17: how the value was decided, if not by the model."""

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
                11: PRELIMINARY,
                17: coded(self.method) if self.method else "",
            },
        )


def _texts(report: Report) -> Iterator[_Observation]:
    yield _Observation(name=coded(DRAFT), kind="FT", value=escape(BANNER))
    for notice in report.notices:
        yield _Observation(name=coded(NOTICE), kind="FT", value=escape(strip_controls(notice)))
    for section in report.sections:
        code = SECTIONS[section.name]
        lines = (escape(strip_controls(sentence.text)) for sentence in section.sentences)
        yield _Observation(name=coded(code.meaning, code), kind="FT", value=LINE_BREAK.join(filter(None, lines)))


def _findings(report: Report) -> Iterator[_Observation]:
    if report.findings_from_text:
        yield _Observation(name=coded(ORIGIN_OF_FINDINGS), kind="TX", value=escape(FROM_TEXT))
    for number, finding in enumerate(report.findings, start=1):
        yield _Observation(
            name=coded(strip_controls(finding_title(finding)), finding_code(finding.name)),
            kind="CE",
            value=_state(finding.state),
            sub_id=str(number),
            probability=finding.probability,
            method=_method(finding),
        )
        yield from _location(finding.with_stated_location(), number)


def _method(finding: Finding) -> str:
    if finding.overridden:
        return SET_BY_USER
    return FROM_TEXT if finding.from_text else ""


def _location(finding: Finding, number: int) -> Iterator[_Observation]:
    """Yield the side and the zones of a finding, as far as anything is known about them."""
    side, zones = finding.location.side, finding.location.zones
    method = SET_BY_USER if finding.location_overridden else ""
    if side is not Side.UNKNOWN or finding.side_probability is not None or method:
        yield _Observation(
            name=coded(SIDE),
            kind="CE",
            value=coded(side.value, SIDES.get(side)),
            sub_id=f"{number}.1",
            probability=finding.side_probability,
            method=method,
        )
    if zones or finding.zone_probabilities is not None:
        probabilities = finding.zone_probabilities or (None,) * len(Zone)
        for part, (zone, probability) in enumerate(zip(Zone, probabilities, strict=True), start=2):
            yield _Observation(
                name=coded(ZONES[zone]),
                kind="CE",
                value=_state(FindingState.PRESENT if zone in zones else FindingState.ABSENT),
                sub_id=f"{number}.{part}",
                probability=probability,
                method=method,
            )


def _origin(report: Report) -> Iterator[_Observation]:
    """Yield the study and the model; the other parts of the provenance have no place in the message."""
    provenance = report.provenance
    if provenance.study_instance_uid is not None:
        value = f"^{escape(provenance.study_instance_uid)}^ISO"
        yield _Observation(name=coded(DICOM_STUDY.meaning, DICOM_STUDY), kind="HD", value=value)
    for name, text in (
        (MODEL, provenance.model_name),
        (WEIGHTS, provenance.weights_sha256),
        (REVISION, provenance.model_revision),
        (ENDPOINT, provenance.endpoint),
        (PROGRAM_VERSION, provenance.program_version),
    ):
        if text or name in (MODEL, PROGRAM_VERSION):  # readers recognize a whole message by its last observation
            yield _Observation(name=coded(name), kind="TX", value=escape(strip_controls(text)))


def _state(state: FindingState) -> str:
    return coded(STATE_WORDS[state], None if state is FindingState.UNKNOWN else STATES[state])


def coded(text: str, code: Code | None = None) -> str:
    """Return a coded element (CE). Without a code it has a text only, never an invented code."""
    return f"^{escape(text)}" if code is None else f"{code.value}^{escape(text)}^{code.scheme}"
