"""The texts of the key image, whatever the shape of the radiograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

from report_gen import read_study
from report_gen.outputs import DraftDocument
from report_gen.outputs import key_image as module
from report_gen.outputs.key_image import key_image
from report_gen.records import BANNER, Finding, FindingState, Report
from report_gen.rendering.outlines import Outline, draw_outlines, outline_color

YELLOW = (0xFF, 0xD5, 0x4F)
"""Color of the banner."""


def draft(report: Report, folder: Path, columns: int, rows: int) -> DraftDocument:
    path = folder / f"{columns}x{rows}.png"
    gradient = np.linspace(40, 200, rows * columns).reshape(rows, columns).astype(np.uint8)
    Picture.fromarray(gradient).save(path)
    return DraftDocument(report=report, study=read_study(path))


def ink(image: NDArray[np.uint8], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return where an image has a color, or a darker shade of it at the edge of a letter."""
    wanted = np.array(color) / max(color)
    brightest = image.max(axis=2, keepdims=True)
    return ((brightest > 100) & (np.abs(image / np.maximum(brightest, 1) - wanted) < 0.04).all(axis=2, keepdims=True))[
        ..., 0
    ]


@pytest.mark.parametrize(("columns", "rows"), [(64, 64), (150, 600), (20, 600), (1, 2000), (3000, 200), (2000, 1)])
def test_the_banner_is_whole_on_every_image(columns: int, rows: int, report: Report, tmp_path: Path) -> None:
    """The letters have as many pixels as on a wide image, in proportion to the size of the text."""
    found = ink(key_image(draft(report, tmp_path, columns, rows)), YELLOW)
    wide = ink(key_image(draft(report, tmp_path, 64, 64)), YELLOW)
    size = max(1024, min(2048, max(columns, rows))) / 1024
    assert found.sum() / size**2 == pytest.approx(wide.sum(), rel=0.06)
    margin = 4
    assert not found[:, :margin].any()
    assert not found[:, -margin:].any()


def test_a_word_that_is_wider_than_the_image_is_divided(report: Report, tmp_path: Path) -> None:
    name = "pneumothorax" * 12
    findings = (Finding(name=name, state=FindingState.PRESENT),)
    image = key_image(draft(replace(report, findings=findings), tmp_path, 20, 600))
    assert image[:, -4:].max() == 0


def test_banner_notices_findings_and_model_are_drawn_in_this_order(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    text_strip = module._text_strip

    def record(lines: list[tuple[str, str]], width: int, size: int) -> Picture.Image:
        drawn.extend(text for text, _ in lines)
        return text_strip(lines, width, size)

    monkeypatch.setattr(module, "_text_strip", record)
    key_image(draft(report, tmp_path, 64, 64))
    assert drawn == [
        BANNER,
        "NOTICE: Lateral view only.",
        "Present, no outline: Pneumonia 0.50, set by the user",
        "Drafted by tiny, weights 0123456789ab.",
    ]


def test_the_radiograph_is_in_the_middle_of_a_narrow_key_image(report: Report, tmp_path: Path) -> None:
    image = key_image(draft(report, tmp_path, 60, 600))
    left, right = (np.flatnonzero(image[image.shape[0] // 2, :, 0])[index] for index in (0, -1))
    assert right - left + 1 == 102  # 60 by 600 pixels, enlarged to 1024 rows
    assert abs(left - (image.shape[1] - 1 - right)) <= 1


def test_the_number_of_an_outline_is_inside_the_image() -> None:
    """The number is drawn at the highest point, which is to the right of the image here."""
    square = np.array([(300, 100), (400, 100), (400, 300), (200, 300), (200, 101), (300, 100)], dtype=np.float64)
    image = np.full((1024, 256), 0.5, dtype=np.float32)
    canvas = np.asarray(draw_outlines(image, [Outline(curves=(square,))], size=(256, 1024)))
    color = np.array([int(outline_color(0)[start : start + 2], 16) for start in (1, 3, 5)])
    disc = (canvas == color).all(axis=2)[85:116, 226:]
    assert disc.sum() > 300  # most of a disc with a radius of 15 pixels; the line alone has about 90
