"""Drafts of a model whose encoder reads whole volumes of CT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from report_gen.config import EncoderConfig, ModelConfig
from report_gen.drafting import Drafter, DraftRequest
from report_gen.drafting.preprocessing import LoadedStudy, StudyPreprocessor
from report_gen.errors import StudyError
from report_gen.imaging import read_study
from report_gen.imaging.transform import ImageTransform, Placement
from report_gen.records import Study
from tests.builders import (
    THRESHOLDS,
    VOLUME_MODEL,
    noise_image,
    tiny_checkpoint,
    tiny_config,
    tiny_model,
    volume_config,
    write_checkpoint,
    write_png,
)
from tests.slice_files import SAGITTAL, write_slices

SIZE = VOLUME_MODEL["encoder"]["image_size"]


def series(folder: Path, slices: int = 48, **changes: Any) -> Study:
    positions = [(0, 0, 2 * number) for number in range(slices)]
    write_slices(folder, positions, shape=(SIZE, SIZE), spacing=(1, 1), **changes)
    return read_study(folder)


def loaded(study: Study, **options: bool) -> LoadedStudy | StudyError:
    return StudyPreprocessor(tiny_checkpoint(volume_config())).load(DraftRequest(study), **options)


def test_the_encoder_gets_the_mean_of_the_slices_of_each_part(tmp_path: Path) -> None:
    """Slice n of 64 has -1000 + 12 n HU, so that the mean of two slices is (24 n + 6) / 1200 of the window."""
    study = series(tmp_path / "a", 64, pixels=lambda number: np.full((SIZE, SIZE), -1000 + 12 * number, np.int16))
    found = loaded(study)
    assert isinstance(found, LoadedStudy)
    assert found.pixel_values.shape == (1, 32, SIZE, SIZE)
    expected = torch.tensor([(24 * number + 6) / 1200 for number in range(32)])
    torch.testing.assert_close(found.pixel_values[0, :, 5, 7], expected)
    assert found.patch_features.shape == (1, 2 * 2 * 2, 128)
    assert "all 64 axial slices were given to the model, window: volume, C -400 W 1200 HU" in found.notices
    assert len(found.request.study.images) == 64
    assert [image.instance_number for image in found.images] == [33]


def test_a_volume_is_resampled_like_the_area_mode_of_torch() -> None:
    """The preprocessing of Astra resizes by the mode "area", whose axes can be resized one after the other."""
    encoder = EncoderConfig(name="tiny_i3resnet", image_size=SIZE, channels=48, mean=0, std=1)
    transform = ImageTransform.from_config(encoder, ())
    volume = np.random.default_rng(0).random((70, SIZE, SIZE), dtype=np.float32)
    square, placement = transform.fit_volume(iter(volume))
    expected = F.interpolate(torch.from_numpy(volume)[None, None], size=(48, SIZE, SIZE), mode="area")[0, 0]
    torch.testing.assert_close(square, expected)
    assert placement == Placement(SIZE, SIZE, SIZE, 1.0, 0, 0)


def test_fewer_slices_than_the_encoder_takes_are_repeated(tmp_path: Path) -> None:
    found = loaded(series(tmp_path / "a", 16))
    assert isinstance(found, LoadedStudy)
    torch.testing.assert_close(found.pixel_values[:, 0::2], found.pixel_values[:, 1::2])


def test_a_checkpoint_drafts_a_nifti_file_with_an_attention_map(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(0, 20, (SIZE, SIZE, 40))
    values[:20] = -1000
    nibabel.Nifti1Image(values.astype(np.int16), np.diag([1.0, 1, 3, 1])).to_filename(tmp_path / "a.nii.gz")
    model = tiny_model(volume_config(findings={"present": THRESHOLDS}))
    drafter = Drafter.load(write_checkpoint(tmp_path / "checkpoint", model=model))
    study = read_study(tmp_path / "a.nii.gz")
    report = drafter.draft(study)
    assert any("the values look like Hounsfield units" in notice for notice in report.notices)
    assert len(report.provenance.inputs) == 40
    heatmap = drafter.attention_map(study)
    assert {weights.shape for weights in heatmap.weights.values()} == {(2, 2)}
    assert all(weights.sum() == pytest.approx(1, abs=1e-3) for weights in heatmap.weights.values())


def test_the_order_of_the_files_and_blank_images(tmp_path: Path) -> None:
    study = series(tmp_path / "a")
    blank = loaded(study, blank=True)
    assert isinstance(blank, LoadedStudy)
    assert blank.pixel_values.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("slices", "changes", "reason"),
    [
        (48, {"modality": "MR"}, "is MR and not CT"),
        (6, {}, "has no axial CT of 10 slices or more, which the model reads as a whole (slices: 6 axial); give a"),
        (1, {}, "has no axial CT of 10 slices or more"),
    ],
)
def test_other_series_are_refused_even_if_forced(
    tmp_path: Path, slices: int, changes: Mapping[str, str], reason: str
) -> None:
    error = loaded(series(tmp_path / "a", slices, **changes), force=True)
    assert isinstance(error, StudyError)
    assert reason in str(error)


def test_other_planes_and_pictures_are_refused(tmp_path: Path) -> None:
    write_slices(tmp_path / "a", [(2 * number, 0, 0) for number in range(20)], SAGITTAL)
    for study in (read_study(tmp_path / "a"), read_study(write_png(tmp_path / "b.png", noise_image()))):
        error = loaded(study, force=True)
        assert isinstance(error, StudyError)
        assert "has no axial CT of 10 slices or more" in str(error)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"volumes": None}, "set volumes = {} without windows"),
        ({"volumes": {"windows": ["lung", "mediastinum", "bone"]}}, "set volumes = {} without windows"),
        ({"encoder": VOLUME_MODEL["encoder"] | {"mean": 0.5}}, "set encoder.mean = 0 and encoder.std = 1"),
        ({"encoder": VOLUME_MODEL["encoder"] | {"channels": 20}}, "is 20; give a multiple of 16, such as 160"),
        ({"encoder": VOLUME_MODEL["encoder"] | {"image_size": 1024}}, "give at most 512 for slices of volumes"),
        ({"encoder": {"name": "resnet10t", "channels": 96}}, "give at most 64, as only encoders of volumes take more"),
        ({"scope": {"modalities": ["MR"]}}, 'scope.modalities is MR; set scope.modalities = ["CT"], or choose'),
        ({"preprocessing": [{"name": "clahe"}]}, "remove preprocessing, or choose another encoder"),
        ({"locations": {"trained": [False] * len(THRESHOLDS)}}, "locations are those of radiographs"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(changes: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        ModelConfig.model_validate(tiny_config().model_dump() | VOLUME_MODEL | changes)
    assert reason in str(refusal.value)
