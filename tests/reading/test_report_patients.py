"""Whether a report names another patient, by its Patient ID."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report_gen.reading import names_other_patient
from tests.dicom_files import write_dicom

HL7 = "MSH|^~\\&|RIS||||20260101||ORU^R01|1|P|2.5.1\rPID|||A1^^^H~B 2^^^I\rOBR|1|||C\r"
FHIR = {
    "resourceType": "Bundle",
    "entry": [
        {"resource": {"resourceType": "Device", "identifier": [{"value": "X"}]}},
        {
            "resource": {
                "resourceType": "Patient",
                "identifier": [{"value": "A1"}, {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:7"}],
            }
        },
    ],
}
UNNAMED = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "identifier": [None]}}]}


@pytest.mark.parametrize(
    ("content", "patient_id", "expected"),
    [
        (HL7, "A1", False),
        (HL7, " b  2", False),
        (HL7, "C3", True),
        (HL7, "B", True),
        (HL7, None, False),
        (HL7.replace("A1^^^H~B 2^^^I", "^^^^U"), "A1", False),
        (json.dumps(FHIR), "a1", False),
        (json.dumps(FHIR), "X", True),
        (json.dumps(FHIR), "urn:uuid:7", True),
        (json.dumps(UNNAMED), "A1", False),
        ("FINDINGS: No effusion of patient C3.", "A1", False),
    ],
)
def test_the_patient_of_a_text(tmp_path: Path, content: str, patient_id: str | None, expected: bool) -> None:
    path = tmp_path / "report"
    path.write_text(content)
    assert names_other_patient(path, patient_id) is expected


def test_the_patient_of_a_dicom_object(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "report.dcm", PatientID="A1 ")
    assert not names_other_patient(path, "a1")
    assert names_other_patient(path, "A2")
