"""Palettes whose tables pydicom does not read as they are meant (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from report_gen.errors import StudyError
from report_gen.imaging.dicom import read_dicom_image
from tests.dicom_files import dicom

PIXELS = np.array([[0, 1, 3, 200]], dtype=np.uint8)


def load(path: Path, pixels: Any, descriptor: list[int], table: bytes, syntax: Any = ExplicitVRLittleEndian) -> Any:
    dataset = dicom(pixels, syntax, PhotometricInterpretation="PALETTE COLOR")
    for color in ("Red", "Green", "Blue"):
        dataset.add_new(f"{color}PaletteColorLookupTableDescriptor", "US", descriptor)
        dataset.add_new(f"{color}PaletteColorLookupTableData", "OW", table)
    if syntax == ExplicitVRBigEndian and pixels.itemsize == 2:
        dataset.PixelData = pixels.astype(">u2").tobytes()
    dataset.save_as(path / "a.dcm")
    return read_dicom_image(path / "a.dcm").pixels


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_entries_of_sixteen_bits_in_either_byte_order(tmp_path: Path, syntax: Any) -> None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    table = np.array([0, 13107, 20000, 65535], dtype=f"{order}u2").tobytes()
    np.testing.assert_allclose(load(tmp_path, PIXELS, [4, 0, 16], table, syntax), [[0, 0.2, 1, 1]], atol=1e-5)


def test_an_odd_number_of_entries_of_eight_bits(tmp_path: Path) -> None:
    table = bytes([0, 51, 102, 204, 255, 0])  # five entries and padding
    np.testing.assert_allclose(load(tmp_path, PIXELS, [5, 0, 8], table), [[0, 0.2, 0.8, 1]], atol=1e-5)


def test_more_than_256_entries_of_eight_bits(tmp_path: Path) -> None:
    table = bytes(entry // 4 for entry in range(1024))
    pixels = np.array([[0, 300, 1023]], dtype=np.uint16)
    np.testing.assert_allclose(load(tmp_path, pixels, [1024, 0, 8], table), [[0, 75 / 255, 1]], atol=1e-5)


def test_entries_of_eight_bits_in_words(tmp_path: Path) -> None:
    table = np.array([0, 51, 102, 255], dtype="<u2").tobytes()
    np.testing.assert_allclose(load(tmp_path, PIXELS, [4, 0, 8], table), [[0, 0.2, 1, 1]], atol=1e-5)
    np.testing.assert_allclose(load(tmp_path, PIXELS, [4, 0, 16], table), [[0, 0.2, 1, 1]], atol=1e-5)


def test_the_first_entry_belongs_to_the_first_mapped_value(tmp_path: Path) -> None:
    table = bytes([0, 51, 255, 255])
    pixels = np.array([[0, 100, 101, 102, 255]], dtype=np.uint8)
    np.testing.assert_allclose(load(tmp_path, pixels, [4, 100, 8], table), [[0, 0, 0.2, 1, 1]], atol=1e-5)


def test_a_palette_without_tables_is_refused(tmp_path: Path) -> None:
    dicom(PIXELS, PhotometricInterpretation="PALETTE COLOR").save_as(tmp_path / "a.dcm")
    with pytest.raises(StudyError, match="malformed"):
        read_dicom_image(tmp_path / "a.dcm")
