"""Attention of findings, as heat maps and while drafting: the image, its placement, the weights of the first view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from report_gen.config import VIEWS
from report_gen.drafting import Drafter
from report_gen.errors import StudyError
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from report_gen.records import Box, FindingAttention, Study, ViewPosition
from tests.builders import SIZE, noise_image, study, tiny_checkpoint, tiny_config, write_png
from tests.dicom_files import write_dicom
from tests.image_steps import anatomy


def drafter() -> Drafter:
    return Drafter.from_checkpoint(tiny_checkpoint())


@pytest.mark.parametrize(("rows", "columns"), [(64, 32), (40, 80)])
def test_the_image_and_its_place_in_the_square(rows: int, columns: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (rows, columns)).astype(np.uint8)
    heatmap = drafter().attention_map(read_study(write_png(tmp_path / "a.png", pixels)))
    np.testing.assert_allclose(heatmap.image, pixels / 255, atol=1e-3)
    side = max(rows, columns)
    assert heatmap.square == ((columns - side) / 2, (rows - side) / 2, side)
    assert list(heatmap.weights) == list(chest_xray().stated)
    for weights in heatmap.weights.values():
        assert weights.shape[0] == weights.shape[1]
        assert weights.sum() == pytest.approx(1)


def test_the_place_of_a_cropped_image(tmp_path: Path) -> None:
    """The model gets the right half; the heat map shows the whole image."""
    pixels = np.zeros((64, 128), dtype=np.uint8)
    pixels[:, 64:] = 255 * anatomy(64, 64)
    cropping = Drafter.from_checkpoint(tiny_checkpoint(tiny_config(preprocessing=[{"name": "crop_borders"}])))
    heatmap = cropping.attention_map(read_study(write_png(tmp_path / "a.png", pixels)))
    np.testing.assert_allclose(heatmap.image, pixels / 255, atol=1e-3)
    assert heatmap.square == (64, 0, 64)
    assert heatmap.part == Box(0, 64, 64, 64)


def test_with_two_views_the_weights_of_the_first_are_returned(tmp_path: Path) -> None:
    first, _ = (write_png(tmp_path / f"{seed}.png", noise_image(seed)) for seed in (1, 2))
    both, alone = read_study(tmp_path), read_study(first)
    assert len(both.images) == 2
    sums = [sum(weights.sum() for weights in drafter().attention_map(one).weights.values()) for one in (both, alone)]
    assert 0 < sums[0] < 0.9 * sums[1]
    np.testing.assert_array_equal(drafter().attention_map(both).image, drafter().attention_map(alone).image)


def test_weights_are_returned_by_name_row_by_row_as_the_model_gives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16, which numpy lacks, and of the first view alone; the model gets the view position of the image."""
    checkpoint, schema = tiny_checkpoint(), chest_xray()
    grid = checkpoint.model.encoder.grid
    expected = np.arange(len(schema.findings) * grid**2).reshape(-1, grid, grid)
    given: list[torch.Tensor] = []

    def encode_images(*inputs: torch.Tensor) -> SimpleNamespace:
        given.extend(inputs)
        first = torch.from_numpy(expected).flatten(1)  # [F,N]
        return SimpleNamespace(finding_attention=torch.cat([first, -first], dim=1)[None].bfloat16())

    monkeypatch.setattr(checkpoint.model, "encode_images", encode_images)
    image = write_dicom(tmp_path / "a.dcm", noise_image().astype(np.uint16), ViewPosition="LL")
    heatmap = Drafter.from_checkpoint(checkpoint).attention_map(read_study(image))
    for name, weights in heatmap.weights.items():
        np.testing.assert_array_equal(weights, expected[schema.findings.index(name)])
    pixel_values, view_positions, view_mask, _, view_offsets = given
    assert pixel_values.shape == (1, 1, 1, SIZE, SIZE)
    assert view_positions.tolist() == [[VIEWS.index(ViewPosition.LATERAL)]]
    assert view_mask.tolist() == [[True]]
    assert view_offsets.shape == (1, 1, 3)


def test_an_image_in_a_view_that_the_model_does_not_know_is_passed_over(tmp_path: Path) -> None:
    lateral, frontal = study(tmp_path, 1), study(tmp_path, 2)
    images = (
        replace(lateral.images[0], view_position=ViewPosition.LATERAL),
        replace(frontal.images[0], view_position=ViewPosition.PA),
    )
    both = replace(lateral, series=(replace(lateral.series[0], images=images),))
    heatmap = Drafter.from_checkpoint(tiny_checkpoint(tiny_config(scope={"views": ("PA",)}))).attention_map(both)
    np.testing.assert_allclose(heatmap.image, noise_image(2) / 255, atol=1e-3)


def collect(drafter: Drafter, studies: list[Study], **options: Any) -> list[tuple[str, FindingAttention]]:
    """Draft studies and return their names with the attention that the drafter reports."""
    collected: list[tuple[str, FindingAttention]] = []
    drafting = drafter.draft_all(
        studies, decoding=Decoding(max_tokens=2), on_attention=lambda *one: collected.append(one), **options
    )
    list(drafting)
    return [(study.name, attention) for study, attention in collected]


@pytest.mark.parametrize("steps", [[], [{"name": "crop_borders"}]])
@pytest.mark.parametrize(("rows", "columns"), [(64, 128), (128, 64)])
def test_drafting_reports_the_attention_of_the_heat_map(
    steps: list[dict[str, str]], rows: int, columns: int, tmp_path: Path
) -> None:
    pixels = np.zeros((rows, columns), dtype=np.uint8)
    pixels[:64, -64:] = 255 * anatomy(64, 64)
    studies = [read_study(write_png(tmp_path / "a.png", pixels)), study(tmp_path)]
    drafter = Drafter.from_checkpoint(tiny_checkpoint(tiny_config(preprocessing=steps)))
    for batch_size in (1, 2):
        collected = collect(drafter, studies, batch_size=batch_size)
        assert [name for name, _ in collected] == ["a", "study-0"]
        for one, (_, attention) in zip(studies, collected, strict=True):
            heatmap = drafter.attention_map(one)
            height, width = heatmap.image.shape
            assert attention.image == one.images[0]
            left, top, side = heatmap.square
            expected = (left / width, top / height, (left + side) / width, (top + side) / height)
            assert attention.square == pytest.approx(expected)
            for name, weights in heatmap.weights.items():
                np.testing.assert_allclose(attention.weights[name], weights, rtol=1e-4)


def test_of_two_views_the_attention_of_the_one_that_the_model_gets_is_reported(tmp_path: Path) -> None:
    lateral, frontal = study(tmp_path, 1), study(tmp_path, 2)
    images = (
        replace(lateral.images[0], view_position=ViewPosition.LATERAL),
        replace(frontal.images[0], view_position=ViewPosition.PA),
    )
    both = replace(lateral, series=(replace(lateral.series[0], images=images),))
    ((_, attention),) = collect(Drafter.from_checkpoint(tiny_checkpoint(tiny_config(scope={"views": ("PA",)}))), [both])
    assert attention.image.path == frontal.images[0].path


def test_gray_control_images_have_the_place_of_the_whole_image_and_black_images_none(tmp_path: Path) -> None:
    wide = read_study(write_png(tmp_path / "wide.png", np.full((32, 64), 200, dtype=np.uint8)))
    assert collect(drafter(), [wide]) == []  # every pixel has the same value, so the model is not asked
    ((_, attention),) = collect(drafter(), [wide], blank=True)
    assert attention.square == (0, -0.5, 1, 1.5)


def test_an_unreadable_study_is_refused(tmp_path: Path) -> None:
    found = study(tmp_path)
    path = found.images[0].path
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(StudyError):
        drafter().attention_map(found)
