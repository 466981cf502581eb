"""Display shutters (PS3.3 C.7.6.11) against pixels counted by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_gen.imaging.dicom import read_dicom_image
from tests.dicom_files import write_dicom

INSIDE = np.arange(100, 163, dtype=np.uint8).reshape(7, 9)
WINDOW = {"WindowCenter": 128, "WindowWidth": 256}
RECTANGLE = {
    "ShutterShape": "RECTANGULAR",
    "ShutterLeftVerticalEdge": 3,
    "ShutterRightVerticalEdge": 6,
    "ShutterUpperHorizontalEdge": 2,
    "ShutterLowerHorizontalEdge": 5,
}
CIRCLE = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [4, 5], "RadiusOfCircularShutter": 2}
DISC = np.array([list(row) for row in ("    x    ", "   xxx   ", "  xxxxx  ", "   xxx   ", "    x    ")]) == "x"


def load(tmp_path: Path, pixels: Any = INSIDE, **attributes: Any) -> Any:
    return read_dicom_image(write_dicom(tmp_path / "a.dcm", pixels, **attributes)).pixels


def mask(top: int, part: Any) -> Any:
    visible = np.zeros(INSIDE.shape, dtype=bool)
    visible[top : top + part.shape[0]] = part
    return visible


RECTANGULAR = np.zeros(INSIDE.shape, dtype=bool)
RECTANGULAR[1:5, 2:6] = True


@pytest.mark.parametrize(
    ("shutter", "visible"),
    [
        (RECTANGLE, RECTANGULAR),
        (CIRCLE, mask(1, DISC)),
        ({**RECTANGLE, **CIRCLE, "ShutterShape": ["RECTANGULAR", "CIRCULAR"]}, mask(1, DISC) & RECTANGULAR),
        (
            {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [2, 3, 2, 6, 5, 6, 5, 3]},
            RECTANGULAR,
        ),
    ],
)
def test_pixels_outside_are_black(tmp_path: Path, shutter: dict[str, Any], visible: Any) -> None:
    expected = np.where(visible, INSIDE / 255, 0)
    np.testing.assert_allclose(load(tmp_path, **WINDOW, **shutter), expected, atol=1e-6)


def test_hidden_pixels_have_the_presentation_value_whatever_the_polarity(tmp_path: Path) -> None:
    white = load(
        tmp_path, **WINDOW, **RECTANGLE, ShutterPresentationValue=65535, PhotometricInterpretation="MONOCHROME1"
    )
    np.testing.assert_allclose(white, np.where(RECTANGULAR, 1 - INSIDE / 255, 1), atol=1e-6)
    gray = load(tmp_path, **WINDOW, **RECTANGLE, ShutterPresentationValue=13107)
    assert gray[0, 0] == pytest.approx(0.2)


def test_hidden_pixels_do_not_count_for_the_range(tmp_path: Path) -> None:
    pixels = np.where(RECTANGULAR, INSIDE, 255).astype(np.uint8)
    inside = INSIDE[RECTANGULAR].astype(float)
    shown = load(tmp_path, pixels, **RECTANGLE)
    np.testing.assert_allclose(shown[RECTANGULAR], (inside - inside.min()) / (inside.max() - inside.min()), atol=1e-6)


def test_a_circle_is_round_on_the_display(tmp_path: Path) -> None:
    shown = load(tmp_path, **WINDOW, **CIRCLE, PixelAspectRatio=[2, 1])  # a pixel is twice as high as wide
    rows = np.flatnonzero(shown.any(1))
    columns = np.flatnonzero(shown.any(0))
    assert columns.tolist() == [2, 3, 4, 5, 6]
    assert 5 <= len(rows) <= 8  # 3 rows of the file


@pytest.mark.parametrize(
    "shutter",
    [
        {"ShutterShape": "RECTANGULAR"},
        {**RECTANGLE, "ShutterLeftVerticalEdge": 8},  # nothing would be visible
        {**RECTANGLE, "ShutterLeftVerticalEdge": None},
        {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [4], "RadiusOfCircularShutter": 2},
        {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 5]},
        {**RECTANGLE, "ShutterLeftVerticalEdge": 7, "ShutterRightVerticalEdge": 6},
        {"ShutterShape": "BITMAP"},
        {"ShutterShape": ""},
    ],
)
def test_an_unusable_shutter_is_ignored(tmp_path: Path, shutter: dict[str, Any]) -> None:
    np.testing.assert_allclose(load(tmp_path, **WINDOW, **shutter), INSIDE / 255, atol=1e-6)


def test_a_shutter_that_leaves_hardly_a_pixel_is_ignored(tmp_path: Path) -> None:
    pixels = np.tile(np.arange(20, dtype=np.uint8) * 10, (20, 1))
    circle = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [9, 9], "RadiusOfCircularShutter": 0}
    np.testing.assert_allclose(load(tmp_path, pixels, **WINDOW, **circle), pixels / 255, atol=1e-6)


def test_color_is_hidden_as_well(tmp_path: Path) -> None:
    rgb = np.repeat(INSIDE[..., None], 3, axis=2)
    np.testing.assert_allclose(load(tmp_path, rgb, **RECTANGLE), np.where(RECTANGULAR, INSIDE / 255, 0), atol=1e-6)
