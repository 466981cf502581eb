"""FHIR Observations of a draft: sections, findings and image attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from report_gen.outputs.codes import SECTIONS, SIDES, STATES, finding_code
from report_gen.outputs.draft_terms import FROM_TEXT, LOCATION_SET, STATE_SET, STATE_WORDS, finding_title
from report_gen.outputs.fhir import terms
from report_gen.outputs.fhir.context import FhirContext
from report_gen.outputs.fhir.terms import Json, concept, confidence
from report_gen.records import (
    DESCRIBING_SECTIONS,
    GIVEN_SECTIONS,
    Attribute,
    Finding,
    FindingState,
    Section,
    Side,
    Zone,
    strip_controls,
)

_IMAGING: Json = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "imaging"}],
}


def observations(context: FhirContext) -> Iterator[tuple[str, Json]]:
    """Yield the URL and the resource of each Observation: sections, findings, attributes, in the order of the draft."""
    report, sections = context.draft.report, []
    for number, section in enumerate(report.sections, start=1):
        is_given = section.name in GIVEN_SECTIONS
        url, resource = _observation(context, terms.SECTION, str(number), _section(section), is_given=is_given)
        if section.name in DESCRIBING_SECTIONS:
            sections.append(url)
        yield url, resource
    for finding in report.findings:
        url, resource = _observation(context, terms.FINDING, finding.name, _finding(finding))
        if finding.from_text and sections:  # the labeler reads the text, not the images
            resource["derivedFrom"] = [{"reference": section} for section in sections]
        yield url, resource
    for attribute in report.attributes:
        yield _observation(context, terms.ATTRIBUTE, attribute.name, _attribute(attribute))


def asserted(results: Sequence[tuple[str, Json]]) -> list[str]:
    """Return the URLs of the Observations that the model asserted: those that name it as the device."""
    return [url for url, resource in results if "device" in resource]


def _observation(
    context: FhirContext, category: str, name: str, content: Json, *, is_given: bool = False
) -> tuple[str, Json]:
    """Return the URL and the resource of an Observation with this content.

    What the user or the header states (`is_given`) is neither asserted by the model nor derived from the images.
    """
    resource: Json = {
        "resourceType": "Observation",
        "meta": {"versionId": str(context.version)} if is_given else context.ai_meta(),
        **({"extension": content.pop("extension")} if "extension" in content else {}),
        "identifier": [context.identifier(category, name)],
        "status": "preliminary",
        "category": [_IMAGING, concept(category)],
        "code": content.pop("code"),
        "subject": context.reference("Patient"),
        **context.effective(),
        "issued": context.created,
        **content,
    }
    if not is_given:
        resource["derivedFrom"] = [context.reference("ImagingStudy")]
        resource["device"] = context.reference("Device")  # `performer` cannot be a Device in R4B
    if not resource.get("component", True):
        del resource["component"]  # FHIR has no empty lists
    return context.url(category, name), resource


def _section(section: Section) -> Json:
    text = strip_controls(section.text)
    return {
        "code": concept(section.name.value, SECTIONS[section.name]),
        **({"valueString": text} if text else {"dataAbsentReason": terms.UNKNOWN}),
        "component": [
            {**confidence(sentence.confidence), "code": concept(terms.SENTENCE), "valueString": words}
            for sentence in section.sentences
            if (words := strip_controls(sentence.text))
        ],
    }


def _finding(finding: Finding) -> Json:
    finding = finding.with_stated_location()
    state: Json = {"dataAbsentReason": terms.UNKNOWN}
    if finding.state is not FindingState.UNKNOWN:
        state = {"valueCodeableConcept": concept(STATE_WORDS[finding.state], STATES[finding.state])}
    return {
        **confidence(finding.probability),
        "code": concept(strip_controls(finding_title(finding)), finding_code(finding.name)),
        **state,
        **({"method": concept(FROM_TEXT)} if finding.from_text else {}),
        "component": [
            *_threshold(terms.PRESENT_FROM, finding.present_threshold),
            *_threshold(terms.UNCERTAIN_FROM, finding.uncertain_threshold),
            *_flag(terms.MEANS_NORMAL, finding.means_normal),
            *_location(finding),
            *_flag(STATE_SET, finding.overridden),
            *_flag(LOCATION_SET, finding.location_overridden),
        ],
    }


def _threshold(text: str, threshold: float | None) -> list[Json]:
    """Return a component with a probability from which a finding has a state, or none without a threshold."""
    if threshold is None:
        return []
    unit = {"system": "http://unitsofmeasure.org", "code": "1"}
    return [{"code": concept(text), "valueQuantity": {"value": round(threshold, 4), **unit}}]


def _location(finding: Finding) -> Iterator[Json]:
    """Yield the components with the side and the zones of a finding, as far as anything is known about them."""
    side, zones = finding.location.side, finding.location.zones
    if side is not Side.UNKNOWN or finding.side_probability is not None:
        value: Json = {"dataAbsentReason": terms.UNKNOWN}
        if side is not Side.UNKNOWN:
            value = {"valueCodeableConcept": concept(side.value, SIDES[side])}
        yield {**confidence(finding.side_probability), "code": concept(terms.SIDE), **value}
    if zones or finding.zone_probabilities is not None:
        probabilities = finding.zone_probabilities or (None,) * len(Zone)
        for zone, probability in zip(Zone, probabilities, strict=True):
            yield {**confidence(probability), "code": concept(terms.ZONES[zone]), "valueBoolean": zone in zones}


def _attribute(attribute: Attribute) -> Json:
    value, predicted = strip_controls(attribute.value), strip_controls(attribute.predicted)
    return {
        **confidence(attribute.probability),
        "code": concept(attribute.name),
        **({"valueCodeableConcept": concept(value)} if value else {"dataAbsentReason": terms.UNKNOWN}),
        "component": [
            *([{"code": concept(terms.PREDICTED), "valueString": predicted}] if predicted else []),
            *_flag(terms.FROM_HEADER, attribute.from_header),
            *_flag(terms.VALUE_SET, attribute.overridden),
        ],
    }


def _flag(text: str, is_set: bool) -> list[Json]:
    """Return a component that states a fact, or none if the fact is false."""
    return [{"code": concept(text), "valueBoolean": True}] if is_set else []
