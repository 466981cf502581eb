"""A draft that was compared with a prior study names it and refers to its images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from report_gen import read_report, read_study
from report_gen.outputs import DraftDocument
from report_gen.outputs.fhir import format_fhir
from report_gen.records import (
    ChangeState,
    InputFile,
    PriorComparison,
    Report,
    Section,
    SectionName,
    Sentence,
    Study,
)
from report_gen.strict_json import parse_json
from tests.builders import noise_image, write_png
from tests.dicom_files import write_dicom
from tests.outputs.dicom.conftest import HEADER, Draft
from tests.outputs.dicom.test_validity import DEVICE_UID

Write = Callable[[str, DraftDocument], Path]

NAMED = Section(SectionName.COMPARISON, (Sentence("Chest radiograph, 12 days earlier."),))


@pytest.fixture
def prior(tmp_path: Path) -> Study:
    uids = {"StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1", "SOPInstanceUID": "1.2.9.1.1"}
    return read_study(write_dicom(tmp_path / "prior.dcm", noise_image(1), **HEADER | uids | {"StudyDate": "20241221"}))


@pytest.fixture
def compared(draft: Draft, report: Report) -> Callable[..., DraftDocument]:
    """Return a function that makes a draft that was compared with a study."""

    def make(prior: Study, **changes: Any) -> DraftDocument:
        comparison = PriorComparison(
            study_instance_uid=prior.study_instance_uid,
            inputs=tuple(InputFile(sha256=one.sha256, sop_instance_uid=one.sop_instance_uid) for one in prior.images),
            days_earlier=12,
            method="probabilities",
            changes={"Pneumonia": ChangeState.NEW},
        )
        document = draft(
            sections=(NAMED, *report.sections), provenance=replace(report.provenance, comparison=comparison), **changes
        )
        return replace(document, priors=(document.study, prior))

    return make


@pytest.mark.parametrize("name", ["dicom-sr", "dicom-sr-findings"])
def test_the_images_of_the_prior_are_pertinent_other_evidence(
    name: str, compared: Callable[..., DraftDocument], prior: Study, written: Write, dciodvfy: Callable[..., list[str]]
) -> None:
    path = written(name, compared(prior))
    assert dciodvfy(path) == DEVICE_UID
    dataset = dcmread(path)
    (study,) = dataset.PertinentOtherEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (image,) = series.ReferencedSOPSequence
    uids = (study.StudyInstanceUID, series.SeriesInstanceUID, image.ReferencedSOPInstanceUID)
    assert uids == ("1.2.9", "1.2.9.1", "1.2.9.1.1")
    (current,) = dataset.CurrentRequestedProcedureEvidenceSequence
    assert current.StudyInstanceUID == dataset.StudyInstanceUID != "1.2.9"
    if name == "dicom-sr":
        assert read_report(path).sections[0] == NAMED
        (heading,) = (
            item.ConceptNameCodeSequence[0]
            for item in dataset.ContentSequence
            if item.ConceptNameCodeSequence[0].CodeValue == "18834-2"
        )
        assert (heading.CodingSchemeDesignator, heading.CodeMeaning) == ("LN", "Previous Findings")


def test_a_prior_without_a_header_is_no_evidence(
    compared: Callable[..., DraftDocument], tmp_path: Path, written: Write
) -> None:
    picture = read_study(write_png(tmp_path / "prior.png", noise_image(1)))
    assert "PertinentOtherEvidenceSequence" not in dcmread(written("dicom-sr", compared(picture)))


def test_fhir_names_the_prior_as_a_source(compared: Callable[..., DraftDocument], prior: Study) -> None:
    entries = parse_json(format_fhir(compared(prior)))["entry"]
    (provenance,) = (one["resource"] for one in entries if one["resource"]["resourceType"] == "Provenance")
    (source,) = (one for one in provenance["entity"] if one["what"].get("type") == "ImagingStudy")
    assert source["role"] == "source"
    assert source["what"]["identifier"] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.9"}
