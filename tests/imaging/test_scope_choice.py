"""Which of several models is chosen for a study, by its headers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from report_gen.config import ScopeConfig
from report_gen.errors import ScopeError
from report_gen.imaging import read_study
from report_gen.imaging.scope_choice import choose_scopes
from report_gen.records import Study
from tests.builders import noise_image, write_png
from tests.dicom_files import write_dicom

CHEST = ScopeConfig(modalities=("DX",), body_parts=("chest",), min_age=16)
SLICES = ScopeConfig(modalities=("CT", "MR"))
SCOPES = {"chest": CHEST, "slices": SLICES}


def dicom(folder: Path, **header: str) -> Study:
    return read_study(write_dicom(folder / "a.dcm", noise_image().astype(np.uint16), **header))


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ({"Modality": "DX", "BodyPartExamined": "CHEST"}, ("chest",)),
        ({"Modality": "CT", "BodyPartExamined": "CHEST"}, ("slices",)),
        ({"Modality": "MR", "BodyPartExamined": "BRAIN"}, ("slices",)),
        ({"Modality": "CT", "PatientAge": "008Y"}, ("slices",)),
        ({"Modality": "OT"}, ("chest", "slices")),  # Other: the images decide
    ],
)
def test_the_header_chooses(tmp_path: Path, header: dict[str, str], chosen: tuple[str, ...]) -> None:
    assert choose_scopes(dicom(tmp_path, **header), SCOPES) == chosen


def test_without_a_header_every_model_is_possible(tmp_path: Path) -> None:
    study = read_study(write_png(tmp_path / "a.png", noise_image()))
    assert choose_scopes(study, SCOPES) == ("chest", "slices")


@pytest.mark.parametrize(
    ("header", "code", "reason"),
    [
        ({"Modality": "DX", "BodyPartExamined": "HAND"}, "body-part", r"the header names hand, .* made for chest; --f"),
        ({"Modality": "DX", "PatientAge": "008Y"}, "age", "younger than 16 years"),
        (
            {"Modality": "US"},
            "modality",
            r"the modality is US, and the embedded models were made for DX \(chest\) or CT, MR \(slices\); --force",
        ),
    ],
)
def test_the_refusal_names_the_closest_model(tmp_path: Path, header: dict[str, str], code: str, reason: str) -> None:
    with pytest.raises(ScopeError, match=reason) as refused:
        choose_scopes(dicom(tmp_path, **header), SCOPES)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ({"Modality": "DX", "BodyPartExamined": "HAND"}, "chest"),
        ({"Modality": "CT", "PatientSpeciesDescription": "Canine"}, "slices"),
        ({"Modality": "US"}, "chest"),
    ],
)
def test_a_forced_draft_takes_the_closest_model(tmp_path: Path, header: dict[str, str], chosen: str) -> None:
    assert choose_scopes(dicom(tmp_path, **header), SCOPES, force=True) == (chosen,)


def test_a_single_model_refuses_as_before(tmp_path: Path) -> None:
    with pytest.raises(ScopeError, match="the modality is US, and the model was made for DX; --force"):
        choose_scopes(dicom(tmp_path, Modality="US"), {"chest": CHEST})
