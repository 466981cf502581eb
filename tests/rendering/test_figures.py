"""Figures: the position of the attention, and that unusual texts can be drawn."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from report_gen.errors import NotAnImageError
from report_gen.imaging import read_study
from report_gen.metrics import Bin
from report_gen.records import Box
from report_gen.rendering.figures import (
    Panel,
    Reliability,
    draw_attention,
    draw_preprocessing,
    draw_reliability,
    draw_strips,
)

GRID = 8


def decode(png: bytes) -> NDArray[np.int16]:
    """Return the RGB values [H,W,3] of a PNG file."""
    return np.asarray(PIL.Image.open(BytesIO(png)).convert("RGB")).astype(np.int16)


def peak_at(row: int, column: int) -> NDArray[np.float32]:
    """Return attention [GRID,GRID] with one peak."""
    weights = np.full((GRID, GRID), 0.1 / 63, dtype=np.float32)
    weights[row, column] = 0.9
    return weights


@pytest.mark.parametrize(
    ("rows", "columns", "square", "patch", "place"),
    [
        (100, 100, (0.0, 0.0, 100.0), (1, 6), (1.5 / 8, 6.5 / 8)),
        (200, 100, (-50.0, 0.0, 200.0), (2, 3), (2.5 / 8, 1.5 / 4)),  # tall: the square is padded left and right
        (100, 200, (0.0, -50.0, 200.0), (4, 6), (2.5 / 4, 6.5 / 8)),  # wide: padded above and below
    ],
)
def test_the_heatmap_lies_at_its_patch_of_the_image(
    rows: int, columns: int, square: tuple[float, float, float], patch: tuple[int, int], place: tuple[float, float]
) -> None:
    image = np.zeros((rows, columns), dtype=np.float32)
    png = draw_attention(image, {"Edema": peak_at(*patch)}, square=square, part=Box(0, 0, rows, columns), text="")
    pixels = decode(png)
    inside = pixels.min(axis=-1) < 200
    across = np.flatnonzero(inside.mean(axis=0) > 0.3)  # text covers less of a column than the images
    left, right = across[np.diff(across, prepend=-9) > 1][-1], across[-1]  # columns of the second image
    down = np.flatnonzero(inside[:, left:right].mean(axis=1) > 0.9)
    top, bottom = down[0], down[-1]
    colored = np.ptp(pixels, axis=-1) > 40
    heat = pixels.sum(axis=-1) * colored
    center = (heat.sum(1) @ np.arange(len(heat)), heat.sum(0) @ np.arange(heat.shape[1])) / heat.sum()
    found = ((center[0] - top) / (bottom - top), (center[1] - left) / (right - left))
    assert found == pytest.approx(place, abs=0.06)


def test_the_heatmap_is_clipped_to_the_part_that_the_model_gets() -> None:
    """Attention peaks above the part, the lower half of the image. Purple is a color of the map, not of the outline."""
    image = np.zeros((80, 80), dtype=np.float32)
    part = Box(40, 0, 40, 80)
    drawn = [
        decode(draw_attention(image, {"Edema": peak_at(2, 4)}, square=(0.0, 0.0, 80.0), part=one, text=""))
        for one in (Box(0, 0, 80, 80), part)
    ]
    whole, clipped = ((np.ptp(pixels, axis=-1) > 40) & (pixels[..., 2] > pixels[..., 1]) for pixels in drawn)
    assert whole.sum() > 200
    assert clipped.sum() < 0.05 * whole.sum()


def test_preprocessing_is_drawn_side_by_side_with_the_outline_of_the_part() -> None:
    image = np.full((60, 60), 0.5, dtype=np.float32)
    whole, part = Box(0, 0, 60, 60), Box(30, 30, 30, 30)
    plain, outlined = (
        decode(draw_preprocessing([[Panel(title="a", image=image, outline=one)] * 3], caption="c"))
        for one in (whole, part)
    )
    one = decode(draw_preprocessing([[Panel(title="a", image=image, outline=whole)]], caption="c"))
    assert plain.shape[1] == 3 * one.shape[1]
    gray = np.abs(plain - 127).max(axis=-1) < 3
    across = np.flatnonzero(gray.mean(axis=0) > 0.5)
    assert (np.diff(across) > 1).sum() == 2  # three images, two gaps
    assert np.ptp(plain, axis=-1).max() == 0
    colored = np.ptp(outlined, axis=-1) > 60
    panel = slice(across[0], across[np.diff(across, append=9999) > 1][0] + 1)
    rows = np.flatnonzero(colored[:, panel].any(axis=1))
    columns = np.flatnonzero(colored[:, panel].any(axis=0))
    height = np.flatnonzero(gray.mean(axis=1) > 0.5)
    assert rows[0] == pytest.approx((height[0] + height[-1]) / 2, abs=4)
    assert columns[0] == pytest.approx((panel.stop - panel.start) / 2, abs=4)


def test_rows_of_several_images_lie_below_each_other() -> None:
    panels = [Panel(title="t", image=np.ones((40, 20), dtype=np.float32), outline=Box(0, 0, 40, 20))] * 2
    one, two = (decode(draw_preprocessing([panels] * rows, caption="c")) for rows in (1, 2))
    assert len(two) > 1.7 * len(one)
    assert two.shape[1] == one.shape[1]


def test_uniform_attention_is_not_colored() -> None:
    uniform = np.full((GRID, GRID), 1 / GRID**2, dtype=np.float32)
    pixels = decode(
        draw_attention(
            np.zeros((50, 50), np.float32), {"x": uniform}, square=(0, 0, 50), part=Box(0, 0, 50, 50), text="A draft."
        )
    )
    assert np.ptp(pixels, axis=-1).max() < 10


def test_unusual_texts_are_drawn() -> None:
    """A $ starts no formula, a letter that the font lacks gives no warning, and a long text makes the figure taller."""
    image = np.zeros((20, 20), dtype=np.float32)
    short, long = (
        decode(draw_attention(image, {"$x_1$": peak_at(0, 0)}, square=(0, 0, 20), part=Box(0, 0, 20, 20), text=text))
        for text in ("costs $1_000$ 胸", "A long line of a draft that has to be wrapped. " * 90)
    )
    assert len(long) > 1.5 * len(short)


def test_a_diagram_of_one_bin_and_of_many_findings() -> None:
    one = Reliability(title="one", bins=[Bin(count=3, probability=0.0, positive=1.0)], probabilities=[0.0] * 3)
    alone, many = (decode(draw_reliability(one, [one] * count, caption="c")) for count in (0, 9))
    assert many.shape[1] > 2 * alone.shape[1]


def test_texts_of_a_narrow_figure_are_not_cut_at_its_edges() -> None:
    """Titles and captions are wrapped: the outermost columns of the figure are white."""
    text, image = (
        "Slices from foot to head, front to back or right to left, one window each. " * 2,
        np.full((40, 40), 0.5),
    )
    strips = draw_strips([(text, image.astype(np.float32))], caption=text)
    panel = Panel(title="a", image=image.astype(np.float32), outline=Box(0, 0, 40, 40))
    for png in (strips, draw_preprocessing([[panel]], caption=text)):
        pixels = decode(png)
        assert pixels[:, :3].min() == pixels[:, -3:].min() == 255
        assert pixels[-60:].min() < 100  # the caption


def test_a_drawing_is_not_taken_for_an_image(tmp_path: Path) -> None:
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    attention = draw_attention(image, {"Edema": peak_at(2, 3)}, square=(0, 0, 8), part=Box(0, 0, 8, 8), text="text")
    for drawing in (draw_strips([("stack 1", image)], caption="caption"), attention):
        (tmp_path / "drawing.png").write_bytes(drawing)
        with pytest.raises(
            NotAnImageError, match=r"drawing\.png: is a drawing of report-gen, not an image of the patient"
        ):
            read_study(tmp_path / "drawing.png")
    PIL.Image.open(tmp_path / "drawing.png").convert("L").save(tmp_path / "image.png", pnginfo=None)
    assert read_study(tmp_path).images[0].path.name == "image.png"
