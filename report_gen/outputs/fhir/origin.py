"""FHIR resources that say what a draft is about and where it comes from: patient, study, device and provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from report_gen.outputs.demographics import date_of, identifier_of, name_parts, text_of
from report_gen.outputs.draft_terms import IMAGES_SENT
from report_gen.outputs.fhir import terms
from report_gen.outputs.fhir.context import FhirContext
from report_gen.outputs.fhir.report import attachment
from report_gen.outputs.fhir.terms import Json
from report_gen.outputs.json import provenance_document
from report_gen.outputs.source_header import SourceImage
from report_gen.records import PROGRAM, strip_controls

MODEL_CARD, SETTINGS = "model card", "provenance"
"""Names of the DocumentReferences."""

_GENDERS = {"M": "male", "F": "female", "O": "other"}
_ARTIFICIAL_INTELLIGENCE: Json = {
    "coding": [{"system": terms.AI_DEVICE_TYPES, "code": "Artificial-Intelligence"}],
}
_AUTHOR: Json = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "author"}],
}
_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


def patient(context: FhirContext) -> Json:
    """Return the Patient as the DICOM header states it."""
    header = context.draft.source.attributes
    identifiers: list[Json] = [context.identifier("Patient")]
    if number := identifier_of(header, "PatientID"):
        issuer = identifier_of(header, "IssuerOfPatientID")
        identifiers.insert(0, {"value": number, **({"assigner": {"display": issuer}} if issuer else {})})
    born = date_of(header, "PatientBirthDate")
    return {
        "resourceType": "Patient",
        "identifier": identifiers,
        **_human_name(context),
        "gender": _GENDERS.get(text_of(header, "PatientSex"), "unknown"),
        **({"birthDate": born.isoformat()} if born else {}),
    }


def imaging_study(context: FhirContext) -> Json:
    """Return the ImagingStudy with the DICOM images that the draft was made from; pictures have no SOP class."""
    source = context.draft.source
    by_series: dict[str, list[SourceImage]] = {}
    for image in source.dicom_images:
        by_series.setdefault(image.series_instance_uid, []).append(image)
    day = date_of(source.attributes, "StudyDate")
    description = text_of(source.attributes, "StudyDescription")
    uid = str(source.attributes.StudyInstanceUID)
    return {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": terms.DICOM_UID, "value": f"urn:oid:{uid}"}],
        "status": "available",
        "subject": context.reference("Patient"),
        **({"started": day.isoformat()} if day else {}),
        **({"description": description} if description else {}),
        **_reason(context),
        **({"series": [_series(context, *pair) for pair in by_series.items()]} if by_series else {}),
    }


def _reason(context: FhirContext) -> Json:
    """Return why the study was made, as far as the user stated it."""
    text = strip_controls(context.draft.report.indication)
    if not text:
        return {}
    return {"reason": [{"concept": {"text": text}}]} if context.is_r5 else {"reasonCode": [{"text": text}]}


def device(context: FhirContext) -> Json:
    """Return the Device that drafted the report: the model, identified by the SHA-256 of its weights if it is known.

    A note says to which other computer the images were sent.
    """
    provenance = context.draft.report.provenance
    name, version = strip_controls(provenance.model_name), strip_controls(provenance.program_version)
    weights = [{"system": terms.SHA256, "value": provenance.weights_sha256}] if provenance.weights_sha256 else []
    resource: Json = {
        "resourceType": "Device",
        "identifier": [*weights, context.identifier("Device")],
        "manufacturer": PROGRAM,
        "type": [_ARTIFICIAL_INTELLIGENCE] if context.is_r5 else _ARTIFICIAL_INTELLIGENCE,
    }
    if context.draft.model_card:
        reference = context.reference("DocumentReference", MODEL_CARD)
        resource["extension"] = [{"url": terms.MODEL_CARD_EXTENSION, "valueReference": reference}]
    versions: list[Json] = [{"value": version}] if version else []
    if revision := strip_controls(provenance.model_revision):
        versions.append({"type": {"text": terms.REVISION}, "value": revision})
    if versions:
        resource["version"] = versions
    if host := strip_controls(provenance.endpoint):
        resource["note"] = [{"text": f"{IMAGES_SENT}{host}"}]
    if name and context.is_r5:
        resource["name"] = [{"value": name, "type": "registered-name"}]
    elif name:
        resource["deviceName"] = [{"name": name, "type": "model-name"}]
    return resource


def documents(context: FhirContext) -> Iterator[tuple[str, Json]]:
    """Yield the name and the resource of each DocumentReference: provenance of the draft, and model card."""
    settings = provenance_document(context.draft.report.provenance)
    data = json.dumps(settings, ensure_ascii=False, allow_nan=False).encode()
    yield SETTINGS, _document(context, SETTINGS, data, "application/json", terms.PROVENANCE_TITLE)
    if context.draft.model_card:
        card = _document(context, MODEL_CARD, context.draft.model_card.encode(), "text/markdown", "Model card")
        card["type"] = {"coding": [{"system": terms.AI_INPUTS, "code": "AIModelCard", "display": "AI Model-Card"}]}
        form = {"system": terms.AI_INPUTS, "code": "AIModelCardMarkdownFormat", "display": "Markdown Format"}
        card["category"] = [{"coding": [form]}]
        yield MODEL_CARD, card


def provenance(context: FhirContext, targets: Sequence[str]) -> Json:
    """Return the Provenance of the resources that the model asserted (profile AI-Provenance)."""
    reason = {"coding": [dict(terms.AIAST)]}
    entities = [("source", context.reference("ImagingStudy"))]
    entities += [("source", context.reference("DocumentReference", SETTINGS))]
    if (compared := context.draft.report.provenance.comparison) is not None and compared.study_instance_uid:
        uid = {"system": terms.DICOM_UID, "value": f"urn:oid:{compared.study_instance_uid}"}
        entities.append(("source", {"type": "ImagingStudy", "identifier": uid, "display": "prior study"}))
    if context.draft.model_card:  # R5 replaced the role "derivation"
        role = "source" if context.is_r5 else "derivation"
        entities.append((role, context.reference("DocumentReference", MODEL_CARD)))
    if context.replaces is not None:
        entities.append(("revision", {"identifier": {"system": terms.URI, "value": context.replaces}}))
    operation = "CREATE" if context.version == 1 else "UPDATE"
    return {
        "resourceType": "Provenance",
        "target": [{"reference": url} for url in targets],
        "recorded": context.created,
        **({"authorization": [{"concept": reason}]} if context.is_r5 else {"reason": [reason]}),
        "activity": {"coding": [{"system": _OPERATION, "code": operation}]},
        "agent": [{"type": _AUTHOR, "role": [_ARTIFICIAL_INTELLIGENCE], "who": context.reference("Device")}],
        "entity": [{"role": role, "what": what} for role, what in entities],
    }


def _human_name(context: FhirContext) -> Json:
    parts = name_parts(context.draft.source.attributes, "PatientName")
    if parts is None:
        return {}
    lists = {"given": (parts.given, parts.middle), "prefix": (parts.prefix,), "suffix": (parts.suffix,)}
    name: Json = {key: kept for key, values in lists.items() if (kept := [value for value in values if value])}
    if parts.family:
        name["family"] = parts.family
    return {"name": [name]} if name else {}


def _series(context: FhirContext, uid: str, images: Sequence[SourceImage]) -> Json:
    modalities = {image.path: series.modality for series in context.draft.study.series for image in series.images}
    modality = {"system": terms.CODE_SYSTEMS["DCM"], "code": modalities.get(images[0].image.path) or "OT"}
    return {
        "uid": uid,
        "modality": {"coding": [modality]} if context.is_r5 else modality,
        "numberOfInstances": len(images),
        "instance": [
            {
                "uid": image.sop_instance_uid,
                "sopClass": {"system": terms.URI, "code": f"urn:oid:{image.sop_class_uid}"},
            }
            for image in images
        ],
    }


def _document(context: FhirContext, name: str, data: bytes, media_type: str, title: str) -> Json:
    return {
        "resourceType": "DocumentReference",
        "identifier": [context.identifier("DocumentReference", name)],
        "status": "current",
        "date": context.created,
        "content": [{"attachment": attachment(data, media_type, title, created=context.created)}],
    }
