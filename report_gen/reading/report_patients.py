"""Compare the patient that a report names with that of a study. Identifiers are compared, and never kept or shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from report_gen.imaging import is_dicom_file, raise_study_errors, read_attributes
from report_gen.outputs.er7 import parse_message
from report_gen.outputs.fhir import terms
from report_gen.outputs.report_file import read_report_file
from report_gen.strict_json import parse_json


def names_other_patient(path: Path, patient_id: str | None) -> bool:
    """Return whether a report names patients by identifiers, of which none is this one.

    Differences of case and spaces do not count. Reports as text and drafts as JSON name no patient.

    Args:
        path: A file that `read_report` reads.
        patient_id: Patient ID of the study; None if it is not known.
    """
    named = set(map(_normalized, _identifiers(path))) - {""}
    expected = _normalized(patient_id or "")
    return bool(named) and bool(expected) and expected not in named


def _identifiers(path: Path) -> Iterator[str]:
    content = read_report_file(path)
    start = content[:200].lstrip(b"\xef\xbb\xbf\v \t\r\n")
    if start.startswith(b"MSH"):
        for segment in parse_message(content):
            if segment.name == "PID":
                yield from (segment.component(3, repetition=number) for number in range(segment.repetitions(3)))
    elif start.startswith(b"{"):
        yield from _fhir_identifiers(parse_json(content))
    elif is_dicom_file(path):
        with raise_study_errors(path):
            yield str(read_attributes(path, ("SpecificCharacterSet", "PatientID")).get("PatientID") or "")


def _fhir_identifiers(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the identifiers of the patients in a Bundle, without those that report-gen gives to each resource."""
    for entry in document.get("entry") or ():
        resource = entry.get("resource") or {}
        if resource.get("resourceType") == "Patient":
            for one in resource.get("identifier") or ():
                if isinstance(one, dict) and one.get("system") != terms.URI:
                    yield str(one.get("value") or "")


def _normalized(identifier: str) -> str:
    return " ".join(identifier.split()).casefold()
