"""Terms of the FHIR documents, shared by the code that writes and the code that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from report_gen.outputs.codes import Code
from report_gen.records import Zone

FhirVersion = Literal["R4B", "R5"]
Json = dict[str, Any]
"""A JSON object."""

CODE_SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        "DCM": "http://dicom.nema.org/resources/ontology/DCM",
        "LN": "http://loinc.org",
        "RADLEX": "http://radlex.org",
        "SCT": "http://snomed.info/sct",
        "UMLS": "http://terminology.hl7.org/CodeSystem/umls",
    }
)
"""FHIR system of each DICOM Coding Scheme Designator (hl7.org/fhir/terminologies-systems.html)."""

URI = "urn:ietf:rfc:3986"
"""System of identifiers that are URIs."""
DICOM_UID = "urn:dicom:uid"
"""System of DICOM UIDs (hl7.org/fhir/imagingstudy.html)."""
SHA256 = "urn:oid:2.16.840.1.101.3.4.2.1"
"""Object identifier of SHA-256 (NIST CSOR), as the system of the digest of the weights."""

_GUIDE = "http://hl7.org/fhir/uv/aitransparency"
AI_CONFIDENCE = f"{_GUIDE}/StructureDefinition/AIconfidence"
MODEL_CARD_EXTENSION = f"{_GUIDE}/StructureDefinition/aitransparency.modelCardDescription"
AI_DEVICE_TYPES = f"{_GUIDE}/CodeSystem/AIdeviceTypeCS"
AI_INPUTS = f"{_GUIDE}/CodeSystem/AIinputsCS"
NOTE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/note"
"""Notes of a resource that has no element `note`, such as a DiagnosticReport of R4B (FHIR extensions pack)."""

AIAST: Json = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "AIAST",
    "display": "Artificial Intelligence asserted",
}
"""Security label of content that an AI system asserted."""
UNKNOWN: Json = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}],
}

SECTION, FINDING, ATTRIBUTE = "report section", "finding", "image attribute"
"""Text of the category of an Observation: what the Observation is about."""
SENTENCE = "sentence"
PRESENT_FROM, UNCERTAIN_FROM = "threshold of present", "threshold of uncertain"
MEANS_NORMAL = "means a normal study"
SIDE, ZONES = "side", {zone: f"{zone.value} zone" for zone in Zone}
PREDICTED, FROM_HEADER, VALUE_SET = "predicted from the image", "value of the DICOM header", "value set by the user"
"""Text of the code of a component of an Observation."""
REVISION = "revision of the weights"
"""Text of the type of a version of a Device: the commit of the weights at a hub."""
PROVENANCE_TITLE = "Provenance of the draft"
"""Title of the attachment with the provenance as `report-gen draft --format json` writes it."""


def concept(text: str, code: Code | None = None) -> Json:
    """Return a CodeableConcept. Without a code it has a text only, never an invented code."""
    if code is None:
        return {"text": text}
    return {
        "coding": [{"system": CODE_SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}],
        "text": text,
    }


def confidence(probability: float | None) -> Json:
    """Return the members of an element that state the confidence of the model in it; none without a probability."""
    if probability is None:
        return {}
    return {"extension": [{"url": AI_CONFIDENCE, "valueDecimal": round(probability, 4)}]}
