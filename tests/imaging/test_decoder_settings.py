"""Warnings of pydicom and Pillow: files that cause them are read, in several threads, even if warnings are errors."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pydicom import dcmread

from report_gen.imaging import load_pixels, read_study
from report_gen.imaging.decoder_settings import configure_decoders
from tests.dicom_files import write_dicom

PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with an invalid UID, which pydicom warns about."""
    file = write_dicom(tmp_path / "a.dcm", PIXELS, SOPInstanceUID="1.2.3.4.5.6.7")
    file.write_bytes(file.read_bytes().replace(b"1.2.3.4.5.6.7", b"1.2.patient.7"))
    return file


def test_the_file_causes_a_warning(path: Path) -> None:
    with pytest.warns(UserWarning, match="Invalid value for VR UI"):
        assert dcmread(path).SOPInstanceUID


def test_eight_threads_read_files_with_warnings(path: Path) -> None:
    def read(_: int) -> float:
        return float(load_pixels(read_study(path).images[0]).sum())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(64))) == pytest.approx([PIXELS.sum() / 63] * 64)


def test_a_png_that_pillow_warns_about_is_read(tmp_path: Path) -> None:
    palette = PIL.Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P")
    palette.save(tmp_path / "a.png", transparency=b"\x00\x80\xff")
    with pytest.warns(UserWarning, match="Palette images with Transparency"):
        PIL.Image.open(tmp_path / "a.png").convert("L")
    assert not load_pixels(read_study(tmp_path / "a.png").images[0]).any()


def test_other_warnings_and_filters_are_kept() -> None:
    before = list(warnings.filters)
    configure_decoders()
    configure_decoders()
    assert [one for one in warnings.filters if one in before] == before
    assert len(warnings.filters) <= len(before) + 1
    with pytest.raises(UserWarning, match="ours"):
        warnings.warn("ours", UserWarning, stacklevel=1)
