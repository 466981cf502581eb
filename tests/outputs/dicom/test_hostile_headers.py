"""Headers with values that the standard does not allow cost at most their own study."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from report_gen import read_study
from report_gen.errors import StudyError
from report_gen.outputs import DraftDocument, get_format
from report_gen.outputs.dicom import attributes
from report_gen.outputs.source_header import PATIENT_KEYWORDS, STUDY_KEYWORDS
from report_gen.records import Report
from tests.hostile_headers import hostile_file
from tests.outputs.dicom.conftest import Draft

FORMATS = ("dicom-sr", "dicom-sr-findings", "dicom-pdf", "dicom-sc")
KEYWORDS = (*PATIENT_KEYWORDS, *STUDY_KEYWORDS, "BodyPartExamined", "NumberOfFrames")
SEEDS = range(20)
"""`python -m tests.fuzz --target documents` tries others for as long as it is told."""


def test_each_format_writes_a_valid_file_or_refuses_the_study(report: Report, tmp_path: Path) -> None:
    outcomes, faulty = Counter[str](), list[bool]()
    for seed in SEEDS:
        path = tmp_path / f"{seed}.dcm"
        path.write_bytes(hostile_file(KEYWORDS, seed))
        try:
            document = DraftDocument(report=report, study=read_study(path))
        except StudyError:
            outcomes["unreadable"] += 1
            continue
        for name in FORMATS:
            try:
                content = get_format(name).render(document)
            except StudyError as error:
                outcomes["refused"] += 1
                faulty.append(error.path == path)
                continue
            outcomes["written"] += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                written = dcmread(BytesIO(content))
                written.decode()
                values = [element.value for element in written.iterall()]
            assert len(values) > 50
            assert UID(written.SOPInstanceUID).is_valid
            assert written.StudyInstanceUID == document.study.study_instance_uid
    assert all(faulty)
    assert min(outcomes.values()) > 3, outcomes
    assert outcomes["written"] > outcomes["refused"], outcomes


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "error", [ValueError("x"), TypeError("x"), AttributeError("x"), KeyError("x"), IndexError("x")]
)
def test_what_highdicom_and_pydicom_raise_is_an_error_of_the_study(
    name: str, error: Exception, draft: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    document = draft()
    monkeypatch.setattr(attributes, "_contributing_equipment", refuse)
    with pytest.raises(StudyError, match="its header cannot be copied to a DICOM object; export the study again, or"):
        get_format(name).render(document)


def test_a_value_that_cannot_be_read_is_left_out(report: Report, tmp_path: Path, draft: Draft) -> None:
    """pydicom cannot convert this weight. The patient is the one of the header all the same."""
    document = draft()
    path = document.study.images[0].path
    path.write_bytes(path.read_bytes().replace(b"DS\x04\x0070.5", b"DS\x04\x00abcd"))
    written = dcmread(BytesIO(get_format("dicom-sr").render(replace(document, study=read_study(path)))))
    assert "PatientWeight" not in written
    assert str(written.PatientName) == "Łukasiewicz^Jan^^Dr."


def test_an_identifier_that_cannot_be_read_refuses_the_study(draft: Draft) -> None:
    document = draft()
    path = document.study.images[0].path
    path.write_bytes(path.read_bytes().replace(b"SH\x02\x00A7", b"US\x02\x00A7"))  # the accession number
    with pytest.raises(StudyError, match="malformed DICOM"):
        get_format("dicom-sr").render(replace(document, study=read_study(path)))


def test_a_text_with_another_vr_of_texts_is_copied_with_the_right_one(draft: Draft) -> None:
    document = draft()
    path = document.study.images[0].path
    path.write_bytes(path.read_bytes().replace(b"LO\x02\x00P1", b"CS\x02\x00P1"))
    written = dcmread(BytesIO(get_format("dicom-sr").render(replace(document, study=read_study(path)))))
    assert (written["PatientID"].VR, written.PatientID) == ("LO", "P1")
