"""Read reports from FHIR documents in JSON: Bundles of `report_gen.outputs.fhir`, and conclusions of other programs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from report_gen.outputs.draft_terms import FROM_TEXT, LOCATION_SET, STATE_SET, parse_title
from report_gen.outputs.fhir import terms
from report_gen.reading.json_reports import Probability, ProvenanceModel, ReadModel, validated
from report_gen.reading.plain_reports import (
    WithdrawnReportError,
    cut_plain_report,
    empty_provenance,
    known_state,
    known_word,
)
from report_gen.records import (
    ATTRIBUTES,
    BANNER,
    Attribute,
    Finding,
    FindingLocation,
    FindingState,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
    Side,
    Zone,
    split_sentences,
)
from report_gen.strict_json import parse_json

_READABLE = ("registered", "partial", "preliminary", "modified", "final", "amended", "corrected", "appended", "unknown")
"""Statuses of a report that may be read (hl7.org/fhir/valueset-diagnostic-report-status.html)."""


_WITHDRAWN = ("cancelled", "entered-in-error")
"""Statuses of a report, an observation and a document that must not be used."""


class _Fhir(ReadModel):
    """An element or a resource, with the members that are read."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, alias_generator=to_camel)


class _Text(_Fhir):
    text: str = ""


class _Extension(_Fhir):
    url: str
    value_decimal: Probability | None = None
    value_annotation: _Text | None = None


class _Quantity(_Fhir):
    value: float | None = None


class _Valued(_Fhir):
    """What an Observation and its components have in common."""

    code: _Text
    extension: list[_Extension] = Field(default_factory=list)
    value_string: str | None = None
    value_boolean: bool | None = None
    value_codeable_concept: _Text | None = None
    value_quantity: _Quantity | None = None

    @property
    def confidence(self) -> float | None:
        return next((one.value_decimal for one in self.extension if one.url == terms.AI_CONFIDENCE), None)

    @property
    def text(self) -> str:
        return self.value_codeable_concept.text if self.value_codeable_concept else self.value_string or ""


class _Observation(_Valued):
    status: str
    category: list[_Text] = Field(default_factory=list)
    method: _Text | None = None
    component: list[_Valued] = Field(default_factory=list)

    def is_about(self, category: str) -> bool:
        return any(one.text == category for one in self.category)

    def part(self, text: str) -> _Valued | None:
        """Return the component with this text as its code."""
        return next((one for one in self.component if one.code.text == text), None)

    def quantity(self, text: str) -> float | None:
        """Return the number of a component, a probability; None without it."""
        part = self.part(text)
        value = None if part is None or part.value_quantity is None else part.value_quantity.value
        if value is not None and not 0 <= value <= 1:
            raise ValueError("a threshold is not a probability")
        return value

    def states(self, text: str) -> bool:
        """Return whether a component states this fact."""
        part = self.part(text)
        return part is not None and part.value_boolean is True


class _Reference(_Fhir):
    reference: str = ""


class _DiagnosticReport(_Fhir):
    status: str
    result: list[_Reference] = Field(default_factory=list)
    conclusion: str = ""
    note: list[_Text] = Field(default_factory=list)
    extension: list[_Extension] = Field(default_factory=list)

    @property
    def notices(self) -> tuple[str, ...]:
        annotations = (one.value_annotation for one in self.extension if one.url == terms.NOTE_EXTENSION)
        return tuple(note.text for note in (*self.note, *annotations) if note is not None and note.text)


class _Attachment(_Fhir):
    title: str = ""
    data: str = ""


class _Content(_Fhir):
    attachment: _Attachment


class _Document(_Fhir):
    status: str
    content: list[_Content]


class _Entry(_Fhir):
    full_url: str = ""
    resource: dict[str, Any]

    @property
    def names(self) -> tuple[str, str]:
        """The ways to refer to the resource: its URL, and its type with its id."""
        return self.full_url, f"{self.resource.get('resourceType')}/{self.resource.get('id')}"


class _Bundle(_Fhir):
    entry: list[_Entry] = Field(default_factory=list, max_length=100_000)


def parse_fhir_report(document: Mapping[str, Any]) -> Report:
    """Return the report in a FHIR Bundle or in a DiagnosticReport.

    Args:
        document: The parsed JSON.

    Raises:
        ValueError: The document is not valid, or has no DiagnosticReport or several.
        WithdrawnReportError: The report was withdrawn.
    """
    kind = document.get("resourceType")
    entries = validated(_Bundle, document).entry if kind == "Bundle" else [_Entry(resource=dict(document))]
    reports = [entry for entry in entries if entry.resource.get("resourceType") == "DiagnosticReport"]
    if len(reports) != 1:
        raise ValueError(f"the FHIR document has {len(reports)} resources of the type DiagnosticReport, not 1")
    report = validated(_DiagnosticReport, reports[0].resource)
    if report.status in _WITHDRAWN:
        raise WithdrawnReportError(f"the report was withdrawn (DiagnosticReport.status {report.status})")
    if report.status not in _READABLE:
        raise ValueError(f"the DiagnosticReport has the status {report.status[:30]!r}")
    observations = _observations(report.result, entries)
    sections = tuple(_section(one) for one in observations if one.is_about(terms.SECTION))
    provenance = _provenance(entries)
    if not sections and provenance is None:
        return cut_plain_report(report.conclusion.removeprefix(BANNER))
    return Report(
        sections=sections,
        findings=tuple(_finding(one) for one in observations if one.is_about(terms.FINDING)),
        notices=report.notices,
        provenance=provenance or empty_provenance(),
        attributes=tuple(_attribute(one) for one in observations if one.is_about(terms.ATTRIBUTE)),
    )


def _observations(results: Sequence[_Reference], entries: Sequence[_Entry]) -> list[_Observation]:
    """Return the Observations that a report refers to, in its order.

    References that lead elsewhere and withdrawn Observations are left out.
    """
    by_name = {
        name: entry.resource
        for entry in entries
        for name in entry.names
        if entry.resource.get("resourceType") == "Observation"
    }
    found = [validated(_Observation, by_name[one.reference]) for one in results if one.reference in by_name]
    return [one for one in found if one.status not in _WITHDRAWN]


def _section(observation: _Observation) -> Section:
    sentences = tuple(
        Sentence(one.value_string or "", one.confidence)
        for one in observation.component
        if one.code.text == terms.SENTENCE
    )
    return Section(known_word(SectionName, observation.code.text), sentences or split_sentences(observation.text))


def _finding(observation: _Observation) -> Finding:
    side, zones = observation.part(terms.SIDE), {zone: observation.part(terms.ZONES[zone]) for zone in Zone}
    probabilities = [None if part is None else part.confidence for part in zones.values()]
    known = [probability for probability in probabilities if probability is not None]
    means_normal = observation.states(terms.MEANS_NORMAL)
    return Finding(
        name=parse_title(observation.code.text)[0] if means_normal else observation.code.text,
        state=known_state(observation.text) if observation.text else FindingState.UNKNOWN,
        probability=observation.confidence,
        present_threshold=observation.quantity(terms.PRESENT_FROM),
        uncertain_threshold=observation.quantity(terms.UNCERTAIN_FROM),
        means_normal=means_normal,
        overridden=observation.states(STATE_SET),
        from_text=observation.method is not None and observation.method.text == FROM_TEXT,
        location=FindingLocation(
            known_word(Side, side.text) if side is not None and side.text else Side.UNKNOWN,
            frozenset(zone for zone, part in zones.items() if part is not None and part.value_boolean),
        ),
        location_overridden=observation.states(LOCATION_SET),
        side_probability=None if side is None else side.confidence,
        zone_probabilities=tuple(known) if len(known) == len(Zone) else None,
    )


def _attribute(observation: _Observation) -> Attribute:
    name = next((name for name in ATTRIBUTES if name == observation.code.text), None)
    if name is None:
        raise ValueError("it has an unknown image attribute")
    predicted = observation.part(terms.PREDICTED)
    return Attribute(
        name=name,
        value=observation.text,
        probability=observation.confidence,
        predicted="" if predicted is None else predicted.text,
        from_header=observation.states(terms.FROM_HEADER),
        overridden=observation.states(terms.VALUE_SET),
    )


def _provenance(entries: Sequence[_Entry]) -> Provenance | None:
    """Return the provenance that a draft has as an attachment; None in documents of other programs."""
    for entry in entries:
        if entry.resource.get("resourceType") == "DocumentReference":
            document = validated(_Document, entry.resource)
            for content in document.content:
                if content.attachment.title == terms.PROVENANCE_TITLE and document.status not in _WITHDRAWN:
                    data = base64.b64decode(content.attachment.data, validate=True)
                    return validated(ProvenanceModel, parse_json(data)).record()
    return None
