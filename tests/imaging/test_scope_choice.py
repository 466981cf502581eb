"""Which of several models is chosen for a study, by its headers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from report_gen.config import ScopeConfig
from report_gen.errors import ScopeError
from report_gen.imaging import read_study
from report_gen.imaging.scope_choice import ModelScope, choose_models
from report_gen.records import Study
from tests.builders import noise_image, write_png
from tests.dicom_files import write_dicom
from tests.slice_files import write_slices

CHEST = ModelScope(ScopeConfig(modalities=("DX",), body_parts=("chest",), views=("PA", "AP"), min_age=16))
SLICES = ModelScope(ScopeConfig(modalities=("CT", "MR")), volumes=True)
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
        ({"Modality": "OT", "SOPClassUID": SecondaryCaptureImageStorage}, ("chest", "slices")),  # the images decide
    ],
)
def test_the_header_chooses(tmp_path: Path, header: dict[str, str], chosen: tuple[str, ...]) -> None:
    assert choose_models(dicom(tmp_path, **header), SCOPES) == chosen


def test_a_series_of_slices_needs_a_model_of_volumes(tmp_path: Path) -> None:
    write_slices(tmp_path, [(0, 0, 2 * number) for number in range(20)], shape=(40, 40), BodyPartExamined="HEAD")
    study = read_study(tmp_path)
    assert choose_models(study, SCOPES) == ("slices",)
    with pytest.raises(ScopeError, match="20 CT images in one study; volumes are not supported") as refused:
        choose_models(study, {"chest": CHEST, "slices": SLICES._replace(volumes=False)})
    assert refused.value.code == "volume"


def test_without_a_header_every_model_is_possible(tmp_path: Path) -> None:
    study = read_study(write_png(tmp_path / "a.png", noise_image()))
    assert choose_models(study, SCOPES) == ("chest", "slices")


MODELS = "the embedded models are chest (DX; chest; PA, AP; at least 16 years), slices (CT, MR)"


@pytest.mark.parametrize(
    ("header", "code", "found"),
    [
        ({"Modality": "DX", "BodyPartExamined": "HAND"}, "body-part", "the header names hand"),
        ({"Modality": "DX", "BodyPartExamined": "KNEE"}, "body-part", "the header names leg (knee)"),
        ({"Modality": "DX", "PatientAge": "008Y"}, "age", "the patient is younger than 16 years"),
        ({"Modality": "US"}, "modality", "the modality is US"),
    ],
)
def test_the_refusal_says_what_each_model_was_made_for(
    tmp_path: Path, header: dict[str, str], code: str, found: str
) -> None:
    with pytest.raises(ScopeError) as refused:
        choose_models(dicom(tmp_path, **header), SCOPES)
    assert refused.value.code == code
    assert refused.value.reason == f"{found}; {MODELS}; force=True drafts it anyway"


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ({"Modality": "DX", "BodyPartExamined": "HAND"}, "chest"),
        ({"Modality": "CT", "PatientSpeciesDescription": "Canine"}, "slices"),
        ({"Modality": "US"}, "chest"),
    ],
)
def test_a_forced_draft_takes_the_closest_model(tmp_path: Path, header: dict[str, str], chosen: str) -> None:
    assert choose_models(dicom(tmp_path, **header), SCOPES, force=True) == (chosen,)


def test_a_single_model_refuses_as_before(tmp_path: Path) -> None:
    with pytest.raises(ScopeError, match="the modality is US, and the model was made for DX; force=True"):
        choose_models(dicom(tmp_path, Modality="US"), {"chest": CHEST})
