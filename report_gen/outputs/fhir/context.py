"""Define the data that the resources of one FHIR document share: draft, FHIR version and references."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from report_gen.outputs.demographics import date_of
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.fhir.terms import AIAST, URI, FhirVersion, Json


def derive_url(namespace: UUID, kind: str, name: str = "") -> str:
    """Return a URL that depends on a report or a Bundle, the kind and the name of a resource only (RFC 9562 5.5)."""
    return uuid5(namespace, f"{kind} {name}").urn


@dataclass(frozen=True, kw_only=True)
class FhirContext:
    """The draft, the FHIR version and the identifiers from which the resources of one document are made."""

    draft: DraftDocument
    report_id: UUID
    """Identity of the report, the same for all of its versions, in R4B, R5 and HL7 v2."""
    bundle_id: UUID
    """Identity of the Bundle, which no Bundle with another content has."""
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
        """Identifier of the Bundle."""
        return self.bundle_id.urn

    @property
    def report_identifier(self) -> Json:
        """Business identifier of the DiagnosticReport, by which a server finds an earlier version of it."""
        return {"system": URI, "value": self.report_id.urn}

    def url(self, kind: str, name: str = "") -> str:
        """Return the URL of a resource. It depends on the Bundle, the kind and the name only."""
        return derive_url(self.bundle_id, kind, name)

    def reference(self, kind: str, name: str = "") -> Json:
        """Return a reference to a resource of the document."""
        return {"reference": self.url(kind, name)}

    def identifier(self, kind: str, name: str = "") -> Json:
        """Return the business identifier of another resource, by which a server finds an earlier version of it."""
        return {"system": URI, "value": derive_url(self.report_id, kind, name)}

    def ai_meta(self) -> Json:
        """Return the metadata of a resource that the model asserted."""
        return {"versionId": str(self.version), "security": [dict(AIAST)]}

    def effective(self) -> Json:
        """Return the date of the examination as the member `effectiveDateTime`; none if the header has no date.

        A FHIR time needs a time zone, which DICOM headers rarely state, so the time of day is omitted.
        """
        day = date_of(self.draft.source.attributes, "StudyDate")
        return {} if day is None else {"effectiveDateTime": day.isoformat()}
