"""Attention heat maps: their image, its placement, and the weights of the first view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from report_gen.drafting import Drafter
from report_gen.errors import StudyError
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from tests.builders import noise_image, study, tiny_checkpoint, write_png


def drafter() -> Drafter:
    return Drafter(tiny_checkpoint())


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


def test_with_two_views_the_weights_of_the_first_are_returned(tmp_path: Path) -> None:
    first, _ = (write_png(tmp_path / f"{seed}.png", noise_image(seed)) for seed in (1, 2))
    both, alone = read_study(tmp_path), read_study(first)
    assert len(both.images) == 2
    sums = [sum(weights.sum() for weights in drafter().attention_map(one).weights.values()) for one in (both, alone)]
    assert 0 < sums[0] < 0.9 * sums[1]
    np.testing.assert_array_equal(drafter().attention_map(both).image, drafter().attention_map(alone).image)


def test_an_unreadable_study_is_refused(tmp_path: Path) -> None:
    found = study(tmp_path)
    path = found.images[0].path
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(StudyError):
        drafter().attention_map(found)
