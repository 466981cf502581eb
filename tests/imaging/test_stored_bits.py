"""Position of the stored bits (PS3.5 8.1.1), and values that need more bits than the header says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels.utils import compress
from pydicom.uid import JPEG2000Lossless, RLELossless

from report_gen.imaging.dicom import read_dicom_image
from report_gen.imaging.loaded_image import LoadedImage
from tests.dicom_files import dicom, write_dicom

y, x = np.mgrid[:40, :50]
SMOOTH = (2000 + 1500 * np.sin(x / 9) + 500 * np.cos(y / 7)).astype(np.uint16)
"""A smooth image of 12 bits."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "image.dcm"


def load(file: Path, pixels: Any, **attributes: Any) -> LoadedImage:
    return read_dicom_image(write_dicom(file, pixels, **attributes))


def expected(values: Any) -> Any:
    values = np.asarray(values, dtype=float)
    return (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize("high", [11, 12, 13, 14, 15])
def test_stored_bits_below_any_high_bit(file: Path, high: int) -> None:
    shift = high - 11
    noise = np.random.default_rng(0).integers(0, 2**16, SMOOTH.shape).astype(np.uint16)
    unused = noise & np.uint16(2**16 - 1 - (4095 << shift))  # other bits hold anything
    np.testing.assert_allclose(
        load(file, (SMOOTH << shift) | unused, BitsStored=12, HighBit=high).pixels, expected(SMOOTH), atol=1e-6
    )


def test_signed_values_below_a_high_bit(file: Path) -> None:
    signed = SMOOTH.astype(np.int32) - 2048
    shifted = (signed << 4).astype(np.int16)
    loaded = load(file, shifted, BitsStored=12, HighBit=15, WindowCenter=0, WindowWidth=4096)
    np.testing.assert_allclose(loaded.pixels, SMOOTH / 4095, atol=1e-6)


def test_color_below_a_high_bit(file: Path) -> None:
    rgb = np.array([[[0, 0, 0], [512, 512, 512], [1023, 1023, 1023]]], dtype=np.uint16)
    loaded = load(file, rgb << 6, BitsStored=10, HighBit=15)
    np.testing.assert_allclose(loaded.pixels, [[0, 512 / 1023, 1]], atol=1e-6)


def test_an_absent_high_bit_is_the_highest_stored_bit(file: Path) -> None:
    for high in (None, 0):
        loaded = load(file, SMOOTH, BitsStored=12, HighBit=high)
        np.testing.assert_allclose(loaded.pixels, expected(SMOOTH), atol=1e-6)


def test_run_lengths_keep_the_position_of_the_bits(file: Path) -> None:
    dataset = dicom(SMOOTH << 4, BitsStored=12, HighBit=15)
    compress(dataset, RLELossless)
    dataset.save_as(file)
    np.testing.assert_allclose(read_dicom_image(file).pixels, expected(SMOOTH), atol=1e-6)


def test_a_codestream_of_the_stored_bits_is_not_shifted(file: Path) -> None:
    dataset = dicom(SMOOTH, BitsStored=12)
    compress(dataset, JPEG2000Lossless)
    dataset.HighBit = 15
    dataset.save_as(file)
    assert dcmread(file).HighBit == 15
    np.testing.assert_allclose(read_dicom_image(file).pixels, expected(SMOOTH), atol=1e-6)


@pytest.mark.parametrize("stored", [8, 10, 11])
@pytest.mark.parametrize("signed", [False, True])
def test_values_that_continue_above_the_bits_stored_are_shown_with_a_notice(
    file: Path, stored: int, signed: bool
) -> None:
    values = (SMOOTH.astype(np.int32) - 2048).astype(np.int16) if signed else SMOOTH
    loaded = load(file, values, BitsStored=stored)
    np.testing.assert_allclose(loaded.pixels, expected(values), atol=1e-6)
    assert loaded.notices == (f"Bits Stored is {stored}, but the pixels use 12 bits; all of them are shown",)


def test_overlays_above_the_bits_stored_are_no_values(file: Path) -> None:
    pixels = SMOOTH.copy()
    pixels[10:20, 10:20] |= 0x8000
    pixels[30:, :] |= 0x1000
    pixels[5, :] |= 0x7000
    loaded = load(file, pixels, BitsStored=12)
    np.testing.assert_allclose(loaded.pixels, expected(SMOOTH), atol=1e-6)
    assert loaded.notices == ()


def test_signed_values_whose_unused_bits_do_not_repeat_the_sign(file: Path) -> None:
    signed = SMOOTH.astype(np.int32) - 2048
    loaded = load(file, (signed & 0x0FFF).astype(np.uint16), PixelRepresentation=1, BitsStored=12)
    np.testing.assert_allclose(loaded.pixels, expected(SMOOTH), atol=1e-6)
    assert loaded.notices == ()
