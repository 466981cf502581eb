"""The contact sheet of stacks of slices: the size and the order of the slices."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from report_gen.imaging.volumes import StackViews, Window
from report_gen.outputs import stack_figure
from report_gen.outputs.stack_figure import format_stacks

GRAYS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def views(count: int, channels: int = 1) -> StackViews:
    """Return slices of 20 rows and 10 columns, each of the next of `GRAYS`."""
    windows = tuple(Window(f"window {number}", 0, 100) for number in range(channels))
    intensities = np.ones((count, channels, 20, 10), dtype=np.float32)
    intensities *= np.reshape(GRAYS[:count], (count, 1, 1, 1)).astype(np.float32)
    return StackViews(tuple(range(count)), intensities, windows, (1.0, 1.0))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float32]]:
    """The images of the rows that are drawn."""
    images: list[NDArray[np.float32]] = []

    def keep(strips: Sequence[tuple[str, NDArray[np.float32]]], *, caption: str) -> bytes:
        images.extend(image for _, image in strips)
        return caption.encode()

    monkeypatch.setattr(stack_figure, "draw_strips", keep)
    return images


def test_a_single_row_is_drawn_larger_and_in_lines(drawn: list[NDArray[np.float32]]) -> None:
    """Seven slices of 320 by 160 pixels in lines of four; the last place is white."""
    format_stacks([("stack 1", views(7))])
    (image,) = drawn
    assert image.shape == (2 * 320 + 2, 4 * 160 + 3 * 2)
    centers = image[160::322, 80::162]
    np.testing.assert_allclose(centers, [GRAYS[:4], [*GRAYS[4:], 1]], atol=1e-6)


@pytest.mark.parametrize("shown", [[views(4), views(4)], [views(4, channels=2)]])
def test_several_rows_have_one_line_each(drawn: list[NDArray[np.float32]], shown: list[StackViews]) -> None:
    format_stacks([(f"stack {number}", one) for number, one in enumerate(shown)])
    assert [image.shape for image in drawn] == [(160, 4 * 80 + 3 * 2)] * 2
    for image in drawn:
        np.testing.assert_allclose(image[80, 40::82], GRAYS[:4], atol=1e-6)


def test_the_sheet_is_a_png_that_has_the_size_of_its_slices() -> None:
    sheet = format_stacks([("stack 1", views(7))])
    assert sheet is not None
    with PIL.Image.open(io.BytesIO(sheet)) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 646
        assert picture.height >= 642


def test_no_stack_is_no_sheet() -> None:
    assert format_stacks([]) is None
