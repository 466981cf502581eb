"""Assemble the FHIR Bundle of a draft, and read the identity of an earlier version."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from report_gen.errors import StudyError
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.fhir import origin, terms
from report_gen.outputs.fhir.checking import check_bundle
from report_gen.outputs.fhir.context import FhirContext
from report_gen.outputs.fhir.observations import observations
from report_gen.outputs.fhir.report import diagnostic_report
from report_gen.outputs.fhir.terms import Json
from report_gen.outputs.identity import derive_report_id
from report_gen.outputs.report_file import read_report_file
from report_gen.strict_json import parse_json

_REMEDY = "give an earlier file of the format fhir and the same study"


def format_fhir(draft: DraftDocument) -> bytes:
    """Write a draft as a FHIR Bundle in JSON.

    The Bundle is a collection and not a transaction, because only the hospital knows which patient on its server
    has the Patient ID of the images. Every reference resolves within the Bundle, and every URL is derived from the
    study and the draft, so that the same draft gives the same Bundle.

    Args:
        draft: The draft; `draft.options.fhir_version` is the version of FHIR. With `draft.revises`, the Bundle is the
            next version of the report in that file.

    Returns:
        Indented JSON in UTF-8.

    Raises:
        StudyError: An image of the study cannot be read any more, or the file that the draft revises is not a Bundle of
            the same study.
        UsageError: The package fhir.resources, WeasyPrint or its system library Pango is not installed.
        OutputError: The Bundle is not valid, which is a fault of report-gen.
    """
    context = _context(draft)
    entries = list(_entries(context))
    bundle: Json = {
        "resourceType": "Bundle",
        "identifier": {"system": terms.URI, "value": context.bundle_url},
        "type": "collection",
        "timestamp": context.created,
        "entry": [{"fullUrl": url, "resource": resource} for url, resource in entries],
    }
    check_bundle(bundle, context.fhir_version)
    return (json.dumps(bundle, ensure_ascii=False, allow_nan=False, indent=2) + "\n").encode()


def _entries(context: FhirContext) -> Iterator[tuple[str, Json]]:
    """Yield the URL and the resource of each entry, the report first."""
    results = list(observations(context))
    urls = [url for url, _ in results]
    report_url = context.report_url
    yield report_url, diagnostic_report(context, urls)
    yield from results
    yield context.url("Patient"), origin.patient(context)
    yield context.url("ImagingStudy"), origin.imaging_study(context)
    yield context.url("Device"), origin.device(context)
    for name, document in origin.documents(context):
        yield context.url("DocumentReference", name), document
    yield context.url("Provenance", str(context.version)), origin.provenance(context, [report_url, *urls])


def _context(draft: DraftDocument) -> FhirContext:
    study_uid = str(draft.source.attributes.StudyInstanceUID)
    if draft.revises is None:
        return FhirContext(draft=draft, report_id=derive_report_id(draft), version=1, replaces=None)
    return _next_version(draft, draft.revises, study_uid)


def _next_version(draft: DraftDocument, path: Path, study_uid: str) -> FhirContext:
    """Return the context of the version that follows the one in a file.

    Raises:
        StudyError: The file is not a Bundle that report-gen wrote, or is about another study.
    """
    try:
        bundle = parse_json(read_report_file(path))
        resources = {entry["resource"]["resourceType"]: entry["resource"] for entry in reversed(bundle["entry"])}
        report, replaces = resources["DiagnosticReport"], str(bundle["identifier"]["value"])
        earlier = FhirContext(
            draft=draft,
            report_id=uuid.UUID(report["identifier"][0]["value"]),
            version=int(report["meta"]["versionId"]),
            replaces=None,
        )
        if replaces != earlier.bundle_url:
            raise ValueError("another program wrote the Bundle")
        earlier_study = resources["ImagingStudy"]["identifier"][0]["value"]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StudyError(path, f"not a FHIR Bundle that report-gen wrote; {_REMEDY}") from error
    if earlier_study != f"urn:oid:{study_uid}":
        raise StudyError(path, f"the earlier version belongs to another study; {_REMEDY}")
    return replace(earlier, version=earlier.version + 1, replaces=replaces)
