"""The decoder in a separate process: its pixels equal those of other decoders, and its crash is a StudyError."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from report_gen.errors import StudyError
from report_gen.imaging import decoding, gdcm
from report_gen.imaging.dicom import read_dicom_image
from report_gen.imaging.gdcm import decode_with_gdcm

LOSSLESS_JPEG_LS = Path(str(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False)))


def test_pixels_equal_those_of_the_uncompressed_file() -> None:
    plain = dcmread(str(get_testdata_file("MR_small.dcm", download=False))).pixel_array
    decoded = decode_with_gdcm(dcmread(LOSSLESS_JPEG_LS))
    assert decoded.dtype == plain.dtype
    np.testing.assert_array_equal(decoded, plain)


def test_lossy_jpeg_of_twelve_bits() -> None:
    """The values are those that DCMTK's dcmdjpeg decodes."""
    decoded = decode_with_gdcm(dcmread(str(get_testdata_file("JPEG-lossy.dcm", download=False))))
    assert decoded.shape == (1024, 256)
    assert (decoded.min(), decoded.max()) == (0, 264)
    assert decoded.mean() == pytest.approx(14.369991302490234)
    pixels = read_dicom_image(Path(str(get_testdata_file("JPEG-lossy.dcm", download=False)))).pixels
    assert pixels.shape == (1024, 256)
    assert pixels.std() > 0


def test_file_meta_information_without_preamble(tmp_path: Path) -> None:
    path = tmp_path / "bare.dcm"
    path.write_bytes(LOSSLESS_JPEG_LS.read_bytes()[132:])
    np.testing.assert_array_equal(read_dicom_image(path).pixels, read_dicom_image(LOSSLESS_JPEG_LS).pixels)


def test_the_child_process_receives_no_data_of_the_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []

    def run(*_: object, **options: bytes) -> object:
        received.append(options["input"])
        return subprocess.CompletedProcess([], 1, b"", b"")

    monkeypatch.setattr(gdcm.subprocess, "run", run)
    dataset = dcmread(LOSSLESS_JPEG_LS)
    assert dataset.PatientID.encode() in LOSSLESS_JPEG_LS.read_bytes()
    with pytest.raises(RuntimeError):
        decode_with_gdcm(dataset)
    assert dataset.PatientID.encode() not in received[0]
    assert str(dataset.PatientName).encode() not in received[0]


def test_a_damaged_stream_is_refused(tmp_path: Path) -> None:
    content = LOSSLESS_JPEG_LS.read_bytes()
    path = tmp_path / "damaged.dcm"
    path.write_bytes(content[:-2000] + bytes(1000) + content[-1000:])
    with pytest.raises(StudyError, match="malformed"):
        read_dicom_image(path)


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (subprocess.CompletedProcess([], -6, b"", b"terminate called"), RuntimeError),
        (subprocess.CompletedProcess([], 0, b"", b"Corrupt JPEG data: premature end of data segment"), RuntimeError),
        (subprocess.TimeoutExpired([], 1), subprocess.TimeoutExpired),
    ],
)
def test_crash_padding_and_timeout_are_refused(
    monkeypatch: pytest.MonkeyPatch, ending: object, expected: type[Exception]
) -> None:
    def run(*_: object, **__: object) -> object:
        if isinstance(ending, Exception):
            raise ending
        return ending

    monkeypatch.setattr(gdcm.subprocess, "run", run)
    with pytest.raises(expected):
        decode_with_gdcm(dcmread(LOSSLESS_JPEG_LS))
    monkeypatch.setattr(decoding, "_PLUGINS", ("gdcm",))  # the extra `clinical` brings another decoder
    with pytest.raises(StudyError, match=r"JPEG-LS Lossless.* malformed"):
        read_dicom_image(LOSSLESS_JPEG_LS)
