"""The drawing of preprocessing: its panels, their titles and their outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from report_gen.imaging.transform import ImageTransform
from report_gen.outputs import preprocessing_figure
from report_gen.records import Box
from tests.image_steps import anatomy, step


def test_the_panels_of_an_image_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    def draw(rows: Any, *, caption: str) -> bytes:
        drawn.extend(rows)
        return b"png"

    monkeypatch.setattr(preprocessing_figure, "draw_preprocessing", draw)
    pixels = np.zeros((120, 200), dtype=np.float32)
    pixels[20:, :150] = anatomy(100, 150)
    transform = ImageTransform(size=75, channels=1, mean=0, std=1, steps=(step("crop_borders"), step("median")))
    assert preprocessing_figure.format_preprocessing([transform.stages(pixels)] * 2) == b"png"
    first, second = drawn
    assert [panel.title.splitlines() for panel in first] == [panel.title.splitlines() for panel in second]
    assert [panel.title.splitlines() for panel in first] == [
        ["image", "120 rows, 200 columns"],
        ["1. crop_borders", "100 rows, 150 columns"],
        ["2. median", "100 rows, 150 columns"],
        ["model input", "75 rows, 75 columns, scale 0.5"],
    ]
    np.testing.assert_array_equal(first[0].image, pixels)
    np.testing.assert_array_equal(first[1].image, pixels[20:, :150])
    assert [panel.outline for panel in first] == [
        Box(20, 0, 100, 150),
        Box(0, 0, 100, 150),
        Box(0, 0, 100, 150),
        Box(12, 0, 50, 75),
    ]


def test_without_steps_the_image_and_the_model_input_are_drawn() -> None:
    transform = ImageTransform(size=32, channels=1, mean=0, std=1)
    png = preprocessing_figure.format_preprocessing([transform.stages(anatomy())])
    assert png.startswith(b"\x89PNG")
