"""Rendering of DICOM files against DCMTK, an independent implementation. Skipped if DCMTK is not installed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from report_gen.imaging.dicom import read_dicom_image
from tests.dcmtk import compare, compare_folder, has_dcmtk, render
from tests.dicom_files import look_up_table, write_dicom

pytestmark = pytest.mark.skipif(not has_dcmtk(), reason="DCMTK is not installed")

y, x = np.mgrid[:48, :64]
PIXELS = (2048 + 1500 * np.sin(x / 9) + 500 * np.cos(y / 7)).astype(np.uint16)
"""A smooth image of 12 bits."""


def test_files_of_pydicom_are_rendered_as_by_dcmtk_or_the_reason_is_known() -> None:
    compared = list(compare_folder(Path(pydicom.__file__).parent))
    assert [comparison for comparison in compared if not comparison.is_explained] == []
    assert sum(comparison.outcome == "equal" for comparison in compared) >= 80


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"WindowCenter": 2000, "WindowWidth": 1500},
        {"WindowCenter": [2000, 9], "WindowWidth": [1500, 3]},
        {"WindowCenter": 2000, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"},
        {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 3000, "WindowWidth": 4000},
        {"RescaleSlope": 0, "RescaleIntercept": 7, "WindowCenter": 2000, "WindowWidth": 1500},
        {"VOILUTSequence": look_up_table([value**2 // 4095 for value in range(4096)], 0, 12)},
        {"ModalityLUTSequence": look_up_table([4095 - value for value in range(4096)], 0, 16)},
        {"PixelSpacing": [0.4, 0.2]},
        {"HighBit": 15},
        {"HighBit": 13},
        {"HighBit": 0},
    ],
)
def test_display_attributes(tmp_path: Path, interpretation: str, attributes: dict[str, Any]) -> None:
    pixels = PIXELS << max(0, attributes.get("HighBit", 11) - 11)
    path = write_dicom(
        tmp_path / "a.dcm", pixels, BitsStored=12, PhotometricInterpretation=interpretation, **attributes
    )
    comparison = compare(path)
    assert comparison is not None
    assert (comparison.outcome, comparison.detail) == ("equal", "")


@pytest.mark.parametrize("quality", [30, 95])
def test_lossy_jpeg_of_twelve_bits(tmp_path: Path, quality: int) -> None:
    source = write_dicom(tmp_path / "a.dcm", PIXELS, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    subprocess.run(["dcmcjpeg", "+ee", "+q", str(quality), source, tmp_path / "b.dcm"], check=True, capture_output=True)
    theirs = render(tmp_path / "b.dcm")
    assert theirs is not None
    np.testing.assert_allclose(read_dicom_image(tmp_path / "b.dcm").pixels, theirs, atol=1e-4)


def test_a_deflated_file(tmp_path: Path) -> None:
    source = write_dicom(tmp_path / "a.dcm", PIXELS, BitsStored=12)
    subprocess.run(["dcmconv", "+td", source, tmp_path / "b.dcm"], check=True, capture_output=True)
    np.testing.assert_array_equal(read_dicom_image(tmp_path / "b.dcm").pixels, read_dicom_image(source).pixels)
