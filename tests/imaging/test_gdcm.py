"""The decoder in a separate process: its pixels equal those of other decoders, and its crash is a StudyError."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate

from report_gen.errors import StudyError
from report_gen.imaging import decoding, gdcm
from report_gen.imaging.dicom import read_dicom_image
from report_gen.imaging.gdcm import GdcmProcess

SERVER = "import runpy, sys; sys.argv = ['gdcm']; runpy.run_path({file!r}, run_name='__main__')"
LOSSLESS_JPEG_LS = Path(str(get_testdata_file("MR_small_jpeg_ls_lossless.dcm", download=False)))


def decode_with_gdcm(dataset: Dataset) -> NDArray[Any]:
    with GdcmProcess() as process:
        return process.decode(dataset)


def run_instead(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Run another program as the child process."""
    monkeypatch.setattr(gdcm, "_COMMAND", (sys.executable, "-W", "ignore", "-c", program))


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


def test_the_child_process_receives_no_data_of_the_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received = tmp_path / "received"
    run_instead(
        monkeypatch,
        "import sys; size = int.from_bytes(sys.stdin.buffer.read(8), 'big'); "
        f"open({str(received)!r}, 'wb').write(sys.stdin.buffer.read(size))",
    )
    dataset = dcmread(LOSSLESS_JPEG_LS)
    assert dataset.PatientID.encode() in LOSSLESS_JPEG_LS.read_bytes()
    with pytest.raises(RuntimeError):
        decode_with_gdcm(dataset)
    assert received.read_bytes()[128:132] == b"DICM"
    assert dataset.PatientID.encode() not in received.read_bytes()
    assert str(dataset.PatientName).encode() not in received.read_bytes()


def test_a_damaged_stream_is_refused(tmp_path: Path) -> None:
    content = LOSSLESS_JPEG_LS.read_bytes()
    path = tmp_path / "damaged.dcm"
    path.write_bytes(content[:-2000] + bytes(1000) + content[-1000:])
    with pytest.raises(StudyError, match="malformed"):
        read_dicom_image(path)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("import os; os.abort()", RuntimeError),
        ("import sys; sys.stdin.buffer.read(8); sys.exit('terminate called after std::bad_alloc')", MemoryError),
        ("import sys; sys.stdout.buffer.write(b'\\xff' * 8)", RuntimeError),
        ("import sys; sys.stdout.buffer.write((100).to_bytes(8, 'big') + b'short')", RuntimeError),
        ("import sys; sys.stderr.write('premature end of data segment'); sys.stderr.flush(); " + SERVER, RuntimeError),
        ("import time; time.sleep(60)", subprocess.TimeoutExpired),
    ],
)
def test_crash_padding_and_timeout_are_refused(
    monkeypatch: pytest.MonkeyPatch, program: str, expected: type[Exception]
) -> None:
    if expected is subprocess.TimeoutExpired:
        monkeypatch.setattr(gdcm, "TIMEOUT_SECONDS", 0.5)
    run_instead(monkeypatch, program.format(file=gdcm.__file__) if program.endswith(SERVER) else program)
    with pytest.raises(expected):
        decode_with_gdcm(dcmread(LOSSLESS_JPEG_LS))
    monkeypatch.setattr(decoding, "_PLUGINS", ("gdcm",))  # the extra `clinical` brings another decoder
    with pytest.raises(StudyError, match=r"JPEG-LS Lossless.* malformed|not enough memory"):
        read_dicom_image(LOSSLESS_JPEG_LS)


def test_frames_share_a_process_and_a_failed_one_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    popen = subprocess.Popen

    def counted(*arguments: Any, **options: Any) -> Any:
        started.append(1)
        return popen(*arguments, **options)

    monkeypatch.setattr(gdcm.subprocess, "Popen", counted)
    good, bad = dcmread(LOSSLESS_JPEG_LS), dcmread(LOSSLESS_JPEG_LS)
    bad.PixelData = encapsulate([b"not a codestream"])
    bad["PixelData"].is_undefined_length = True
    with GdcmProcess() as process:
        first = process.decode(good)
        np.testing.assert_array_equal(process.decode(good), first)
        assert len(started) == 1
        with pytest.raises(RuntimeError):
            process.decode(bad)
        np.testing.assert_array_equal(process.decode(good), first)
        assert len(started) == 2
        child = process._child and process._child._process
    assert child is not None
    assert child.returncode is not None


def test_a_copy_and_a_forked_process_start_a_child_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dcmread(LOSSLESS_JPEG_LS)
    with GdcmProcess() as process:
        expected = process.decode(dataset)
        first = process._child
        assert first is not None
        with pickle.loads(pickle.dumps(process)) as copied:  # noqa: S301 - own bytes
            np.testing.assert_array_equal(copied.decode(dataset), expected)
            assert copied._child is not first
        assert first._process.poll() is None
        with monkeypatch.context() as forked:
            forked.setattr(gdcm.os, "getpid", lambda: -1)
            np.testing.assert_array_equal(process.decode(dataset), expected)
            second = process._child
            assert second is not first
            first.stop()
            assert first._process.poll() is None  # it belongs to the other process
        first._process.kill()
        with first._process:
            pass
        assert second is not None
        second._process.kill()
        with second._process:
            pass


def test_the_child_ends_with_the_object() -> None:
    process = GdcmProcess()
    process.decode(dcmread(LOSSLESS_JPEG_LS))
    assert process._child is not None
    child = process._child._process
    del process
    assert child.wait(10) != 0  # it was killed; the thread of its time limit may hold it for a moment


def test_threads_share_a_child() -> None:
    dataset = dcmread(LOSSLESS_JPEG_LS)
    with GdcmProcess() as process, ThreadPoolExecutor(4) as pool:
        arrays = list(pool.map(process.decode, [dataset] * 8))
        for array in arrays:
            np.testing.assert_array_equal(array, arrays[0])
