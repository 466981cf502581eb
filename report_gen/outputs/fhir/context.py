"""Define the data that the resources of one FHIR document share: draft, FHIR version and references."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from report_gen.outputs.demographics import date_of
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.fhir.terms import AIAST, URI, FhirVersion, Json


@dataclass(frozen=True, kw_only=True)
class FhirContext:
    """The draft, the FHIR version and the identifiers from which the resources of one document are made."""

    draft: DraftDocument
    report_id: uuid.UUID
    """Identity of the report, the same for all of its versions. It is the UUID of the DiagnosticReport."""
    version: int
    """Number of the version of the report, from 1."""
    replaces: str | None
    """Identifier of the Bundle of the earlier version; None for a first version."""

    @property
    def fhir_version(self) -> FhirVersion:
        return self.draft.options.fhir_version

    @property
    def is_r5(self) -> bool:
        return self.fhir_version == "R5"

    @property
    def created(self) -> str:
        """Time of the draft, a FHIR instant."""
        return self.draft.report.provenance.created

    @property
    def bundle_url(self) -> str:
        """Identifier of the Bundle: each version of a report has its own."""
        return f"urn:uuid:{uuid.uuid5(self.report_id, f'Bundle {self.version}')}"

    @property
    def report_url(self) -> str:
        """URL of the DiagnosticReport."""
        return f"urn:uuid:{self.report_id}"

    def url(self, kind: str, name: str = "") -> str:
        """Return the URL of another resource. It depends on the report, the kind and the name only (RFC 9562 5.5)."""
        return f"urn:uuid:{uuid.uuid5(self.report_id, f'{kind} {name}')}"

    def reference(self, kind: str, name: str = "") -> Json:
        """Return a reference to a resource of the document."""
        return {"reference": self.url(kind, name)}

    def identifier(self, kind: str, name: str = "") -> Json:
        """Return the business identifier of a resource, by which a server finds an earlier version."""
        return {"system": URI, "value": self.url(kind, name)}

    def ai_meta(self) -> Json:
        """Return the metadata of a resource that the model asserted."""
        return {"versionId": str(self.version), "security": [dict(AIAST)]}

    def effective(self) -> Json:
        """Return the date of the examination as the member `effectiveDateTime`; none if the header has no date.

        A FHIR time needs a time zone, which DICOM headers rarely state, so the time of day is omitted.
        """
        day = date_of(self.draft.source.attributes, "StudyDate")
        return {} if day is None else {"effectiveDateTime": day.isoformat()}
