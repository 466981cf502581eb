"""Pictures: where the heat lies, and that what is odd can be drawn."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from report_gen.metrics import Bin
from report_gen.rendering.figures import Reliability, attention_picture, reliability_picture

GRID = 8


def drawn(png: bytes) -> NDArray[np.int16]:
    """[H,W,3]"""
    return np.asarray(PIL.Image.open(BytesIO(png)).convert("RGB")).astype(np.int16)


def hot(row: int, column: int) -> NDArray[np.float32]:
    weights = np.full((GRID, GRID), 0.1 / 63, dtype=np.float32)
    weights[row, column] = 0.9
    return weights


@pytest.mark.parametrize(
    ("rows", "columns", "square", "patch", "place"),
    [
        (100, 100, (0.0, 0.0, 100.0), (1, 6), (1.5 / 8, 6.5 / 8)),
        (200, 100, (-50.0, 0.0, 200.0), (2, 3), (2.5 / 8, 1.5 / 4)),  # tall: the square is black at left and right
        (100, 200, (0.0, -50.0, 200.0), (4, 6), (2.5 / 4, 6.5 / 8)),  # wide: black above and below
    ],
)
def test_heat_lies_where_its_patch_is_in_the_image(
    rows: int, columns: int, square: tuple[float, float, float], patch: tuple[int, int], place: tuple[float, float]
) -> None:
    image = np.zeros((rows, columns), dtype=np.float32)
    png = attention_picture(image, {"Edema": hot(*patch)}, square=square, text="")
    pixels = drawn(png)
    inside = pixels.min(axis=-1) < 200
    across = np.flatnonzero(inside.mean(axis=0) > 0.3)  # letters cover less of a line than the images do
    left, right = across[np.diff(across, prepend=-9) > 1][-1], across[-1]  # the second image
    down = np.flatnonzero(inside[:, left:right].mean(axis=1) > 0.9)
    top, bottom = down[0], down[-1]
    coloured = np.ptp(pixels, axis=-1) > 40
    heat = pixels.sum(axis=-1) * coloured
    centre = (heat.sum(1) @ np.arange(len(heat)), heat.sum(0) @ np.arange(heat.shape[1])) / heat.sum()
    found = ((centre[0] - top) / (bottom - top), (centre[1] - left) / (right - left))
    assert found == pytest.approx(place, abs=0.06)


def test_even_attention_is_not_coloured() -> None:
    even = np.full((GRID, GRID), 1 / GRID**2, dtype=np.float32)
    pixels = drawn(attention_picture(np.zeros((50, 50), np.float32), {"x": even}, square=(0, 0, 50), text="A draft."))
    assert np.ptp(pixels, axis=-1).max() < 10


def test_odd_texts_are_drawn_as_they_are() -> None:
    """No formula, no warning for a letter that the font lacks, no picture that is too low for a long text."""
    image = np.zeros((20, 20), dtype=np.float32)
    short, long = (
        drawn(attention_picture(image, {"$x_1$": hot(0, 0)}, square=(0, 0, 20), text=text))
        for text in ("costs $1_000$ 胸", "A long line of a draft that has to be wrapped. " * 90)
    )
    assert len(long) > 1.5 * len(short)


def test_a_diagram_of_one_bin_and_of_many_findings() -> None:
    one = Reliability(title="one", dots=[Bin(count=3, probability=0.0, positive=1.0)], probabilities=[0.0] * 3)
    alone, many = (drawn(reliability_picture(one, [one] * count, caption="c")) for count in (0, 9))
    assert many.shape[1] > 2 * alone.shape[1]
