"""Pixels that are not square (PS3.3 C.7.6.3.1.7, 10.7.1): the image is resampled, and its record says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_gen.imaging import load_pixels, read_study
from report_gen.imaging.square_pixels import resample_to_square
from report_gen.imaging.transform import ImageTransform
from tests.dicom_files import write_dicom
from tests.imaging.test_grayscale import functional_group

y, x = np.mgrid[:30, :40]
DISC = np.where((y - 15) ** 2 + (x - 20) ** 2 < 100, 255, 0).astype(np.uint8)


def load(tmp_path: Path, **attributes: Any) -> tuple[Any, Any]:
    image = read_study(write_dicom(tmp_path / "a.dcm", DISC, **attributes)).images[0]
    pixels = load_pixels(image)
    assert pixels.shape == (image.rows, image.columns)
    return pixels, image


@pytest.mark.parametrize(
    ("attributes", "shape", "spacing"),
    [
        ({"PixelAspectRatio": [2, 1]}, (60, 40), None),
        ({"PixelAspectRatio": [1, 2]}, (30, 80), None),
        ({"PixelAspectRatio": [4, 3]}, (40, 40), None),
        ({"PixelSpacing": [0.4, 0.2]}, (60, 40), (0.2, 0.2)),
        ({"ImagerPixelSpacing": [0.1, 0.3]}, (30, 120), (0.1, 0.1)),
        ({"NominalScannedPixelSpacing": [0.3, 0.2]}, (45, 40), (0.2, 0.2)),
        ({"PixelSpacing": [0.2, 0.2], "PixelAspectRatio": [2, 1]}, (30, 40), (0.2, 0.2)),  # spacing takes precedence
        ({"PixelSpacing": [0.2, 0.2001]}, (30, 40), (0.2, 0.2001)),  # rounded
        ({"PixelSpacing": [0, 0.2], "PixelAspectRatio": [0, 1]}, (30, 40), None),
        ({"PixelAspectRatio": [1]}, (30, 40), None),
        ({"SharedFunctionalGroupsSequence": functional_group(PixelMeasuresSequence={"PixelSpacing": [0.4, 0.2]})},
         (60, 40), (0.2, 0.2)),
    ],
)  # fmt: skip
def test_the_coarser_axis_is_enlarged(tmp_path: Path, attributes: Any, shape: Any, spacing: Any) -> None:
    pixels, image = load(tmp_path, **attributes)
    assert pixels.shape == shape
    assert image.pixel_spacing == spacing


def test_an_ellipse_of_the_file_becomes_a_circle(tmp_path: Path) -> None:
    pixels, _ = load(tmp_path, PixelAspectRatio=[2, 1])
    height, width = ((pixels > 0.5).any(axis).sum() for axis in (1, 0))
    assert height == pytest.approx(2 * width, abs=1)  # the circle of the file is an ellipse on the display
    np.testing.assert_allclose(pixels[::2].mean(), DISC.mean() / 255, atol=0.01)


def test_interpolation_is_linear_between_the_centers_of_pixels() -> None:
    ramp = np.array([[0], [1]], dtype=np.float32)
    assert resample_to_square(ramp, 2).ravel().tolist() == [0, 0.25, 0.75, 1]
    assert resample_to_square(ramp.T.copy(), 0.5).ravel().tolist() == [0, 0.25, 0.75, 1]
    assert resample_to_square(ramp, 1) is ramp


def test_the_placement_refers_to_the_square_pixels(tmp_path: Path) -> None:
    pixels, image = load(tmp_path, PixelAspectRatio=[2, 1])
    _, placement = ImageTransform(size=120, channels=1, mean=0, std=1).fit(pixels)
    assert (placement.rows, placement.columns) == (image.rows, image.columns) == (60, 40)
    assert (placement.scale, placement.top, placement.left) == (2, 0, 20)
