"""Sizes, precisions and numbers of samples in compressed frames, against the DICOM headers around them."""

from __future__ import annotations

import struct

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import get_frame

from report_gen.imaging.codestream import coded_format


@pytest.mark.parametrize(
    "name",
    [
        "JPEG2000.dcm",
        "693_J2KI.dcm",
        "JPEG-lossy.dcm",
        "JPGExtended.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_jpeg_no_color_transform.dcm",
    ],
)
def test_format_of_a_real_frame(name: str) -> None:
    dataset = dcmread(str(get_testdata_file(name, download=False)))
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    precision = 16 if name == "693_J2KI.dcm" else dataset.BitsStored  # J2KI: 14 bits stored
    expected = (dataset.Rows, dataset.Columns, precision, dataset.SamplesPerPixel)
    assert coded_format(frame) == expected
    assert coded_format(b"\0\0\0\x0cjP  \r\n\x87\n" + frame) in {expected, None}


def test_frames_without_a_header() -> None:
    assert coded_format(b"") is None
    assert coded_format(bytes(64)) is None  # run lengths
    assert coded_format(b"\xff\xd8\xff\xda\0\x08") is None  # a scan before any frame header
    assert coded_format(b"\xff\xd8\x00\x00\0\x08") is None


def test_fill_bytes_and_tables_are_skipped() -> None:
    table = b"\xff\xc4\0\x04ab"
    assert coded_format(b"\xff\xd8\xff" + table + b"\xff\xc3\0\x0b\x10\x01\x02\x03\x04\x01") == (0x0102, 0x0304, 16, 1)


def test_the_offset_of_a_jpeg_2000_image_is_subtracted() -> None:
    size = struct.pack(">4I", 110, 220, 10, 20)  # Xsiz, Ysiz, XOsiz, YOsiz
    components = bytes(16) + b"\0\1\x8b"  # tile, number of components, Ssiz: signed, 12 bits
    assert coded_format(b"\xff\x4f\xff\x51\0\x29\0\0" + size + components) == (200, 100, 12, 1)


def test_a_frame_that_ends_within_its_marker() -> None:
    with pytest.raises(struct.error):
        coded_format(b"\xff\x4f\xff\x51\0\x29")
