"""Derive the identity of a report, which its versions in the formats fhir and hl7 share."""

from __future__ import annotations

import uuid
from dataclasses import replace

from report_gen.outputs.document import DraftDocument
from report_gen.outputs.json import format_json

_NAMESPACE = uuid.UUID("0b0f2f0e-2f0a-4c55-9a0e-7f4f6c1f9d6d")
"""Namespace of the identities of reports."""


def derive_report_id(draft: DraftDocument) -> uuid.UUID:
    """Return the identity of the first version of a report, derived from study and draft (RFC 9562 5.5).

    The time of the draft does not belong to its identity: the same draft, made twice, is the same report.
    """
    undated = replace(draft.report, provenance=replace(draft.report.provenance, created=""))
    options = draft.options
    identifiers = "\0".join((options.patient_id or "", options.accession_number or ""))
    return uuid.uuid5(_NAMESPACE, str(draft.source.attributes.StudyInstanceUID) + format_json(undated) + identifiers)
