"""Check a FHIR Bundle: schema, statuses, and that every reference resolves within it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from report_gen.errors import OutputError
from report_gen.outputs.extras import clinical_extra
from report_gen.outputs.fhir.terms import FhirVersion, Json

DRAFT_STATUSES = frozenset({"preliminary", "amended", "modified"})
"""The statuses that the DiagnosticReport of a draft may have, see `report.py`."""
_STATUSES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "DiagnosticReport": DRAFT_STATUSES,
        "DocumentReference": frozenset({"current"}),
        "ImagingStudy": frozenset({"available"}),
        "Observation": frozenset({"preliminary"}),
    }
)
"""The statuses that the resources of a draft may have; fhir.resources 8.3.0 accepts any word as a status."""
_R5_ONLY = frozenset({"modified"})


def check_bundle(bundle: Json, version: FhirVersion) -> None:
    """Check a Bundle that report-gen has made.

    Args:
        bundle: The Bundle.
        version: Its version of FHIR.

    Raises:
        UsageError: fhir.resources is not installed.
        OutputError: The Bundle is not valid, has a status that a draft must not have, or a reference to a resource that
            is not in the Bundle.
    """
    faults = [*_schema_faults(bundle, version), *_status_faults(bundle, version), *_reference_faults(bundle)]
    if faults:
        raise OutputError(f"the FHIR document is not valid ({faults[0]}); please report this as a fault of report-gen")


def _schema_faults(bundle: Json, version: FhirVersion) -> Iterator[str]:
    """Yield what fhir.resources finds wrong."""
    with clinical_extra("the format fhir"):
        module = import_module(f"fhir.resources{'' if version == 'R5' else '.R4B'}.bundle")
    try:
        module.Bundle.model_validate(bundle)
    except ValueError as error:  # pydantic's ValidationError; its first line has no content of the draft
        yield str(error).partition("\n")[0]


def _status_faults(bundle: Json, version: FhirVersion) -> Iterator[str]:
    for resource in (entry["resource"] for entry in bundle["entry"]):
        kind, status = resource["resourceType"], resource.get("status")
        if kind in _STATUSES and (status not in _STATUSES[kind] or (version != "R5" and status in _R5_ONLY)):
            yield f"a {kind} has the status {status!r}"


def _reference_faults(bundle: Json) -> Iterator[str]:
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    if len(set(urls)) < len(urls):
        yield "two entries have the same fullUrl"
    for reference in _references(bundle):
        if reference not in urls:
            yield f"the reference {reference} does not resolve"


def _references(value: Any) -> Iterator[str]:
    """Yield every `Reference.reference` in a JSON value."""
    if isinstance(value, dict):
        for key, member in value.items():
            if key == "reference" and isinstance(member, str):
                yield member
            else:
                yield from _references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _references(member)
