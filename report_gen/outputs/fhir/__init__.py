"""Write a draft as a FHIR Bundle in JSON, after the HL7 guide "AI Transparency on FHIR".

The guide: hl7.org/fhir/uv/aitransparency

The package imports `fhir.resources` only when a bundle is checked.
"""

from report_gen.outputs.fhir.bundle import format_fhir, read_bundle_version

__all__ = ["format_fhir", "read_bundle_version"]
