"""Derive the identity of a report, so that the same draft, made twice, is the same document."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from report_gen.outputs.demographics import identifier_of
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.json import format_json
from report_gen.outputs.source_header import derived_uuid


def derive_report_id(draft: DraftDocument) -> UUID:
    """Return the identity of the first version of a report, which the formats fhir and hl7 share."""
    return derived_uuid("report", str(draft.source.attributes.StudyInstanceUID), *identifying_content(draft))


def identifying_content(draft: DraftDocument) -> tuple[str, ...]:
    """Return what makes a draft another one of its study: its content, and the identifiers of patient and study.

    The time of the draft does not belong to its identity.
    """
    undated = replace(draft.report, provenance=replace(draft.report.provenance, created=""))
    identifiers = (identifier_of(draft.source.attributes, keyword) for keyword in ("PatientID", "AccessionNumber"))
    return format_json(undated), *identifiers
