"""Which imaging procedure is reported."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from report_gen.outputs.dicom import format_dicom_sr, format_dicom_sr_findings
from tests.dicom_files import coded, item
from tests.outputs.dicom.conftest import Draft

CHEST = ("30745-4", "LN", "XR Chest Views")
UNSPECIFIED = ("43468-8", "LN", "XR unspecified body region")


def procedure(content: bytes) -> Dataset:
    """Return the value of the item Procedure Reported (121058, DCM)."""
    items = dcmread(BytesIO(content)).ContentSequence
    (found,) = [one for one in items if one.ConceptNameCodeSequence[0].CodeValue == "121058"]
    code: Dataset = found.ConceptCodeSequence[0]
    return code


def triple(code: Dataset) -> tuple[str, str, str]:
    return code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"BodyPartExamined": "CHEST"}, CHEST),
        ({"BodyPartExamined": "chest", "Modality": "DX"}, CHEST),
        ({"BodyPartExamined": "CHEST", "StudyDescription": "Thorax pa/lat", "SeriesDescription": "PA"}, CHEST),
        ({"AnatomicRegionSequence": [coded("51185008", "SCT", "Thorax")], "Modality": "DX"}, CHEST),
        ({"StudyDescription": "XR CHEST 2 VIEWS"}, CHEST),
        ({}, UNSPECIFIED),
        ({"BodyPartExamined": "KNEE"}, UNSPECIFIED),
        ({"BodyPartExamined": "CHESTABDOMEN"}, UNSPECIFIED),
        ({"BodyPartExamined": "NECKCHEST"}, UNSPECIFIED),
        ({"BodyPartExamined": "CHEST", "StudyDescription": "Chest and abdomen"}, UNSPECIFIED),
        ({"BodyPartExamined": "CHEST", "SeriesDescription": "left knee"}, UNSPECIFIED),
        ({"BodyPartExamined": "CHEST", "Modality": "US"}, ("363679005", "SCT", "Imaging procedure")),
    ],
)
def test_a_header_without_a_code_is_coded_by_modality_and_body_part(
    header: dict[str, Any], expected: tuple[str, str, str], draft: Draft
) -> None:
    for render in (format_dicom_sr, format_dicom_sr_findings):
        assert triple(procedure(render(draft(header=header)))) == expected


def test_the_code_of_the_header_is_copied_with_its_version(draft: Draft) -> None:
    stated = item(
        CodeValue="RPID1", CodingSchemeDesignator="RADLEX", CodingSchemeVersion="4.3", CodeMeaning="XR chest 2 views"
    )
    header = {"BodyPartExamined": "CHEST", "ProcedureCodeSequence": [stated]}
    assert procedure(format_dicom_sr(draft(header=header))) == stated


def test_a_long_code_of_the_header_is_copied(draft: Draft) -> None:
    stated = item(LongCodeValue="RPID1234567890123", CodingSchemeDesignator="99HOSPITAL", CodeMeaning="Chest")
    assert procedure(format_dicom_sr(draft(header={"ProcedureCodeSequence": [stated]}))) == stated


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize(
    "incomplete",
    [
        {},
        {"CodeValue": "1", "CodingSchemeDesignator": "99X"},
        {"CodeValue": "", "CodingSchemeDesignator": "99X", "CodeMeaning": "x"},
        {"CodeValue": "1", "CodingSchemeDesignator": "x" * 17, "CodeMeaning": "x"},
    ],
)
def test_an_incomplete_or_invalid_code_of_the_header_is_passed_over(incomplete: dict[str, str], draft: Draft) -> None:
    header: dict[str, Any] = {"BodyPartExamined": "CHEST"}
    complete = coded("1", "99HOSPITAL", "Chest")
    header["ProcedureCodeSequence"] = [item(**incomplete), complete]
    assert procedure(format_dicom_sr(draft(header=header))) == complete
    header["ProcedureCodeSequence"] = [item(**incomplete)]
    assert triple(procedure(format_dicom_sr(draft(header=header)))) == CHEST
