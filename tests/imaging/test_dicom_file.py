"""Encodings of a DICOM file: without preamble, without file meta information, deflated, contradicting."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import compress
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from report_gen.errors import StudyError
from report_gen.imaging import dicom_file, read_study
from report_gen.imaging.dicom import describe_dicom, read_dicom_image
from report_gen.imaging.dicom_file import is_dicom
from tests.dicom_files import dicom, write_dicom

PIXELS = np.array([[0, 1], [2, 4]], dtype=np.uint8)
INTENSITIES = [[0, 0.25], [0.5, 1]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "image.dcm"


def pixels_of(path: Path) -> Any:
    return read_dicom_image(path).pixels.tolist()


def write_deflated(path: Path, pixels: Any = PIXELS) -> Path:
    dicom(pixels, DeflatedExplicitVRLittleEndian).save_as(path)
    return path


def test_signatures_of_dicom_files() -> None:
    assert is_dicom(b"\0" * 128 + b"DICM")
    assert is_dicom(b"II*\0" + b"\0" * 124 + b"DICM")  # the preamble may contain a TIFF header
    assert is_dicom(b"\x08\x00\x05\x00CS")
    assert is_dicom(b"\x00\x08\x00\x05CS")
    assert is_dicom(b"\x02\x00\x00\x00UL\x04\x00")
    assert is_dicom(b"\x02\x00\x10\x00UI\x14\x00")  # no group length
    assert not is_dicom(b"")
    assert not is_dicom(b"\0" * 132)
    assert not is_dicom(b"\x02\x00" + b"\x01" * 130)
    assert not is_dicom(b"Findings: none. " * 10)


def test_file_meta_information_without_preamble(file: Path) -> None:
    write_dicom(file, PIXELS)
    file.write_bytes(file.read_bytes()[132:])
    assert pixels_of(file) == INTENSITIES
    assert read_study(file).study_instance_uid


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed_pixels_without_preamble(file: Path, syntax: Any) -> None:
    values = (np.arange(4096) % 251).astype(np.uint8).reshape(64, 64)
    dataset = dicom(values)
    compress(dataset, syntax)
    dataset.save_as(file)
    file.write_bytes(file.read_bytes()[132:])
    np.testing.assert_allclose(read_dicom_image(file).pixels, values / np.float32(250))


def test_a_deflated_data_set_is_read(file: Path) -> None:
    write_deflated(file)
    assert pixels_of(file) == INTENSITIES
    assert describe_dicom(file, "").patient_id == "P1"
    content = file.read_bytes()
    file.write_bytes(content[132:])
    assert pixels_of(file) == INTENSITIES


def test_a_deflated_sample_equals_the_same_image_without_deflation() -> None:
    deflated = Path(str(get_testdata_file("image_dfl.dcm", download=False)))
    stored = dcmread(deflated).pixel_array
    found = read_dicom_image(deflated).pixels
    assert found.shape == stored.shape
    assert np.corrcoef(found.ravel(), stored.ravel())[0, 1] > 0.9


def test_a_deflated_bomb_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_file, "MAX_INFLATED_BYTES", 10_000)
    write_deflated(file, np.zeros((50, 100), np.uint8))
    assert describe_dicom(file, "")
    write_deflated(file, np.zeros((100, 100), np.uint8))
    with pytest.raises(StudyError, match="exceeds the limit of 10000 bytes"):
        describe_dicom(file, "")


def test_inflation_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_file, "MAX_INFLATED_BYTES", 10_000)
    stream = zlib.compressobj(wbits=-15)
    bomb = stream.compress(bytes(50_000_000)) + stream.flush()
    target = io.BytesIO()
    with pytest.raises(StudyError):
        dicom_file._inflate(io.BytesIO(bomb), target, Path("bomb.dcm"))
    assert len(target.getvalue()) <= 10_000


@pytest.mark.parametrize("missing", [1, 10, 60])
def test_a_truncated_deflated_data_set_is_refused(file: Path, missing: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (16, 16)).astype(np.uint8)
    content = write_deflated(file, noise).read_bytes()
    file.write_bytes(content[: len(content) - 8 - missing])
    with pytest.raises(StudyError, match="truncated"):
        describe_dicom(file, "")


def test_damage_of_a_deflated_data_set_is_a_study_error(file: Path) -> None:
    content = write_deflated(file).read_bytes()
    start = content.index(DeflatedExplicitVRLittleEndian.encode()) + 100
    for position in range(start, len(content), 7):
        file.write_bytes(content[:position] + b"\xff" + content[position + 1 :])
        try:
            read_dicom_image(file)
        except StudyError:
            continue


def encapsulated_jpeg() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.zeros((32, 32), np.uint8)).save(buffer, "JPEG")
    return bytes(encapsulate([buffer.getvalue()]))


def test_compressed_pixels_under_a_native_transfer_syntax_are_named(file: Path) -> None:
    dataset = dicom(np.zeros((32, 32), np.uint8), JPEGBaseline8Bit, PixelData=encapsulated_jpeg())
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(file)
    file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1\0\0\0"))
    with pytest.raises(StudyError, match="are compressed, but the transfer syntax"):
        describe_dicom(file, "")
    stream = encapsulated_jpeg()
    for content in (stream, stream[stream.index(b"\xff\xd8") :]):  # of a defined length, and without fragments
        write_dicom(file, np.zeros((32, 32), np.uint8), PixelData=content)
        with pytest.raises(StudyError, match="are compressed, but the transfer syntax"):
            describe_dicom(file, "")


def test_native_pixels_under_a_compressed_transfer_syntax_are_named(file: Path) -> None:
    write_dicom(file, np.zeros((32, 32), np.uint8))
    file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"))
    with pytest.raises(StudyError, match="are not encapsulated, but the transfer syntax"):
        describe_dicom(file, "")
