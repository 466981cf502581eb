"""Three windows of CT as the channels of the encoder, against values computed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError
from timm.models import adapt_input_conv

from report_gen.config import ModelConfig, WindowName
from report_gen.drafting import Drafter, DraftRequest
from report_gen.drafting.preprocessing import LoadedStudy, StudyPreprocessor
from report_gen.errors import StudyError
from report_gen.imaging import read_study
from report_gen.imaging.volumes import CT_WINDOWS
from report_gen.model import ImageEncoder, load_checkpoint
from report_gen.records import Study
from tests.builders import (
    CT_CHANNELS,
    SIZE,
    noise_image,
    three_window_config,
    tiny_checkpoint,
    tiny_config,
    tiny_model,
    write_checkpoint,
    write_png,
)
from tests.slice_files import write_slices

ENCODER, WINDOWS = CT_CHANNELS["encoder"], CT_CHANNELS["volumes"]

VALUES = np.array([-3000, -600, 50, 400], dtype=np.int16)
"""Hounsfield units of the four quarters of a slice, from the upper left to the lower right one."""
INTENSITIES = np.array(
    [
        [0, 0.5, 1400 / 1500, 1],  # lung: -1350 to 150
        [0, 0, 0.5, 1],  # mediastinum: -125 to 225
        [0, 0, 550 / 1800, 0.5],  # bone: -500 to 1300
    ],
    dtype=np.float32,
)
"""[C,4] in 0..1, the intensities of the four quarters in each window."""


def quarters(_: int) -> np.ndarray[Any, Any]:
    return np.kron(VALUES.reshape(2, 2), np.ones((SIZE // 2, SIZE // 2), dtype=np.int16))


def series(folder: Path, *, slices: int = 6, **changes: Any) -> Study:
    positions = [(0, 0, 2 * number) for number in range(slices)]
    write_slices(folder, positions, shape=(SIZE, SIZE), spacing=(0.7, 0.7), pixels=quarters, **changes)
    return read_study(folder)


def loaded(study: Study, **options: bool) -> LoadedStudy | StudyError:
    return StudyPreprocessor(tiny_checkpoint(three_window_config())).load(DraftRequest(study), **options)


def test_each_channel_is_the_window_that_was_computed_by_hand(tmp_path: Path) -> None:
    found = loaded(series(tmp_path / "a"))
    assert isinstance(found, LoadedStudy)
    assert found.pixel_values.shape == (4, 3, SIZE, SIZE)
    expected = (INTENSITIES - np.array(ENCODER["mean"])[:, None]) / np.array(ENCODER["std"])[:, None]
    quarter = found.pixel_values.unflatten(-1, (2, -1)).unflatten(-3, (2, -1))[:, :, :, 5, :, 5].flatten(2)  # [V,C,4]
    torch.testing.assert_close(quarter, torch.tensor(expected, dtype=torch.float32).expand(4, -1, -1))
    assert not found.is_blank
    assert any(
        "4 of 6 axial slices" in notice
        and "windows: lung, C -600 W 1500 HU; mediastinum, C 50 W 350 HU; bone, C " in notice
        for notice in found.notices
    )


def test_the_windows_are_turned_and_resampled_as_one_window_is(tmp_path: Path) -> None:
    """A slice of 40 rows of 0.5 mm and 20 columns of 1 mm, with the feet first."""
    noise = np.random.default_rng(0).integers(-1000, 1000, (40, 20)).astype(np.int16)
    feet_first = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    write_slices(tmp_path / "a", [(0, 0, 0)], feet_first, spacing=(0.5, 1.0), pixels=lambda _: noise)
    from report_gen.imaging import load_pixels, load_windows

    (image,) = read_study(tmp_path / "a").images
    windows = [CT_WINDOWS[name] for name in ("lung", "bone")]
    found = load_windows(image, windows)
    assert found.shape == (2, 40, 40)
    for channel, window in zip(found, windows, strict=True):
        np.testing.assert_array_equal(channel, load_pixels(replace(image, window=window)))
    window = CT_WINDOWS["lung"]
    mirrored = ((noise[:, ::-1] - (window.center - window.width / 2)) / window.width).clip(0, 1)
    np.testing.assert_allclose(found[0, :, 0], mirrored[:, 0], rtol=1e-5)


def test_a_checkpoint_of_three_windows_is_saved_and_drafts(tmp_path: Path) -> None:
    config = three_window_config()
    folder = write_checkpoint(tmp_path / "checkpoint", model=tiny_model(config))
    assert load_checkpoint(folder).model.config == config
    report = Drafter.load(folder).draft(series(tmp_path / "a"))
    assert len(report.provenance.inputs) == 4


def test_uniform_gray_has_the_shape_of_the_windows(tmp_path: Path) -> None:
    found = loaded(series(tmp_path / "a"), blank=True)
    assert isinstance(found, LoadedStudy)
    assert found.pixel_values.shape == (4, 3, SIZE, SIZE)


@pytest.mark.parametrize(
    ("modality", "reason"), [("MR", "is MR and not CT, in which the windows of the model are stated")]
)
def test_a_volume_without_hounsfield_units_is_refused_even_if_forced(
    tmp_path: Path, modality: str, reason: str
) -> None:
    error = loaded(series(tmp_path / "a", modality=modality), force=True)
    assert isinstance(error, StudyError)
    assert reason in str(error)
    assert "give a CT series as DICOM, or another model" in str(error)


def test_a_picture_is_refused(tmp_path: Path) -> None:
    error = loaded(read_study(write_png(tmp_path / "a.png", noise_image())), force=True)
    assert isinstance(error, StudyError)
    assert "has no Hounsfield units" in str(error)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoder": ENCODER | {"channels": 1, "mean": 0.5, "std": 0.5}}, "encoder.channels is 1; set"),
        ({"volumes": WINDOWS | {"windows": ["lung", "heart", "bone"]}}, "Input should be 'lung', 'mediastinum'"),
        ({"volumes": WINDOWS | {"windows": ["lung", "bone"]}}, "windows.2"),
        ({"scope": {"modalities": ["MR"]}}, "only CT has, but scope.modalities is MR; set"),
        ({"scope": {"modalities": ["CT", "MR"]}}, "scope.modalities is CT, MR; set"),
        ({"scope": {}}, "scope.modalities allows any modality; set"),
        ({"preprocessing": [{"name": "clahe"}]}, "remove preprocessing, or remove volumes.windows"),
        ({"encoder": ENCODER | {"mean": (0.5, 0.5)}}, "mean has 2 values, but the encoder has 3 channels"),
        ({"encoder": ENCODER | {"std": (0.5, 0.0, 0.5)}}, "greater than 0"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(changes: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=r"(?s)" + reason.replace(".", r"\.")):
        ModelConfig.model_validate(tiny_config().model_dump() | CT_CHANNELS | changes)


def test_the_names_of_the_configuration_are_those_of_the_table() -> None:
    assert set(get_args(WindowName)) == set(CT_WINDOWS)


def test_pretrained_filters_of_rgb_stay_with_three_channels_and_are_summed_for_one() -> None:
    """How timm makes the first convolution of ImageNet weights fit: three windows use the filters as they are.

    One channel gets the sum of the three filters, so that it answers to a gray image as RGB does to three copies.
    """
    rgb = timm.create_model("resnet10t", pretrained=False, in_chans=3).conv1[0].weight.detach()
    torch.testing.assert_close(adapt_input_conv(3, rgb), rgb)
    torch.testing.assert_close(adapt_input_conv(1, rgb), rgb.sum(1, keepdim=True))
    gray = torch.rand(1, 1, 16, 16)
    of_one = torch.conv2d(gray, adapt_input_conv(1, rgb))
    torch.testing.assert_close(of_one, torch.conv2d(gray.expand(-1, 3, -1, -1), rgb), atol=1e-5, rtol=1e-5)
    encoder = ImageEncoder(name="resnet10t", arguments={}, image_size=SIZE, channels=3)
    assert encoder.backbone.conv1[0].weight.shape == rgb.shape  # type: ignore[index,union-attr]
