"""Assemble the FHIR Bundle of a draft, and read the identity of an earlier version."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from report_gen.errors import StudyError
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.fhir import origin, terms
from report_gen.outputs.fhir.checking import DRAFT_STATUSES, check_bundle
from report_gen.outputs.fhir.context import FhirContext, derive_url
from report_gen.outputs.fhir.observations import asserted, observations
from report_gen.outputs.fhir.report import diagnostic_report
from report_gen.outputs.fhir.terms import Json
from report_gen.outputs.identity import derive_report_id, identifying_content
from report_gen.outputs.report_file import read_report_file
from report_gen.outputs.source_header import derived_uuid
from report_gen.outputs.versions import DocumentVersion
from report_gen.strict_json import parse_json

_REPORT = "DiagnosticReport"
_REMEDY = "give an earlier file of the format fhir and the same study"


def format_fhir(draft: DraftDocument) -> bytes:
    """Write a draft as a FHIR Bundle in JSON.

    The Bundle is a collection and not a transaction, because only the hospital knows which patient on its server
    has the Patient ID of the images. Every reference resolves within the Bundle.

    The identifier of the Bundle and the URLs of its entries are derived from the content, except its time: the same
    draft has the same ones again, and another draft, another version of the report or of FHIR has others. The business
    identifiers of the DiagnosticReport and the other resources stay the same for all versions of a report.

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
    report_url = context.url(_REPORT)
    yield report_url, diagnostic_report(context, urls)
    yield from results
    yield context.url("Patient"), origin.patient(context)
    yield context.url("ImagingStudy"), origin.imaging_study(context)
    yield context.url("Device"), origin.device(context)
    for name, document in origin.documents(context):
        yield context.url("DocumentReference", name), document
    yield context.url("Provenance", str(context.version)), origin.provenance(context, [report_url, *asserted(results)])


def _context(draft: DraftDocument) -> FhirContext:
    earlier = None if draft.revises is None else _read_earlier(draft.revises, draft)
    report_id = derive_report_id(draft) if earlier is None else earlier.report_id
    replaces = None if earlier is None else earlier.bundle_id
    return FhirContext(
        draft=draft,
        report_id=report_id,
        bundle_id=_derive_bundle_id(draft, report_id, replaces),
        version=1 if earlier is None else earlier.version + 1,
        replaces=None if replaces is None else replaces.urn,
    )


def read_bundle_version(path: Path) -> DocumentVersion:
    """Return the version of the report in a Bundle.

    Raises:
        StudyError: The file is not a Bundle that report-gen wrote.
    """
    try:
        report_id, version = _identity(_first_entries(parse_json(read_report_file(path)))[_REPORT]["resource"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StudyError(path, f"not a FHIR Bundle that report-gen wrote; {_REMEDY}") from error
    return DocumentVersion(str(report_id), version)


def _first_entries(bundle: Any) -> dict[str, Any]:
    """Return the first entry of each type of resource."""
    return {entry["resource"]["resourceType"]: entry for entry in reversed(bundle["entry"])}


def _identity(report: Any) -> tuple[UUID, int]:
    """Return the identity of a report and the number of its version."""
    return UUID(report["identifier"][0]["value"]), int(report["meta"]["versionId"])


def _derive_bundle_id(draft: DraftDocument, report_id: UUID, replaces: UUID | None) -> UUID:
    """Return an identity that depends on everything that the Bundle contains, except the time of the draft."""
    page = (draft.options.paper, "outlines" if draft.attention is not None else "")
    return derived_uuid(
        "bundle",
        draft.options.fhir_version,
        str(report_id),
        str(replaces or ""),
        *identifying_content(draft),
        *page,
        draft.model_card,
    )


@dataclass(frozen=True)
class _Earlier:
    """The Bundle that a draft replaces."""

    report_id: UUID
    bundle_id: UUID
    version: int


def _read_earlier(path: Path, draft: DraftDocument) -> _Earlier:
    """Return the identity of the Bundle that a draft replaces.

    Raises:
        StudyError: The file is not a Bundle that report-gen wrote, is about another study, or is no draft any more.
    """
    try:
        bundle = parse_json(read_report_file(path))
        entries = _first_entries(bundle)
        report, study = entries[_REPORT]["resource"], entries["ImagingStudy"]["resource"]
        report_id, version = _identity(report)
        earlier = _Earlier(report_id=report_id, bundle_id=UUID(bundle["identifier"]["value"]), version=version)
        if entries[_REPORT]["fullUrl"] != derive_url(earlier.bundle_id, _REPORT):
            raise ValueError("another program wrote the Bundle")
        study_url, status = study["identifier"][0]["value"], str(report["status"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StudyError(path, f"not a FHIR Bundle that report-gen wrote; {_REMEDY}") from error
    if study_url != f"urn:oid:{draft.source.attributes.StudyInstanceUID}":
        raise StudyError(path, f"the earlier version belongs to another study; {_REMEDY}")
    if status not in DRAFT_STATUSES:
        raise StudyError(
            path, "its DiagnosticReport is final or withdrawn, so no draft replaces it; write the new draft beside it"
        )
    return earlier
