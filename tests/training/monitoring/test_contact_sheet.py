"""The contact sheet shows the exact pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from report_gen_training.monitoring.contact_sheet import Strip, draw_contact_sheet

from report_gen.errors import NotAnImageError
from report_gen.imaging import read_study


def sheet(*strips: Strip) -> np.ndarray:
    return np.asarray(PIL.Image.open(io.BytesIO(draw_contact_sheet(strips))))


def test_every_image_is_at_its_position_pixel_by_pixel() -> None:
    squares = torch.rand(10, 128, 128)
    pixels = sheet(Strip("first batch", squares, [f"study {number}" for number in range(10)]))
    side, gap, line = 128, 6, 18
    assert pixels.shape == (gap + line + gap + 2 * (side + line + gap), 8 * (side + gap) + gap)
    for number, square in enumerate(squares):
        row, column = divmod(number, 8)
        top, left = 2 * gap + line + row * (side + line + gap), gap + column * (side + gap)
        np.testing.assert_array_equal(pixels[top : top + side, left : left + side], (square * 255).round().numpy())
        assert pixels[top + side : top + side + line, left : left + side].min() < 100  # a label is written below


def test_labels_fit_under_their_image_and_strips_are_stacked() -> None:
    long = "1.2.840.113619.2.5.1762583153.215519.978957063.78 PA\n"
    one = sheet(Strip("a", torch.zeros(2, 16, 16), [long, "b"]))
    both = sheet(Strip("a", torch.zeros(2, 16, 16), [long, "b"]), Strip("b", torch.ones(1, 512, 512) * 7, ["c"]))
    assert one[-24:-6, 134:140].min() == 255  # the gap beside a long label is empty
    assert one.shape == (182, 274)
    assert both.shape == (6 + 2 * (24 + 256 + 24), 2 * 262 + 6)


def test_a_sheet_is_not_taken_for_an_image(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    path.write_bytes(draw_contact_sheet([Strip("a", torch.zeros(2, 16, 16), ["a", "b"])]))
    with pytest.raises(NotAnImageError, match="is a drawing of report-gen, not an image of the patient"):
        read_study(path)
