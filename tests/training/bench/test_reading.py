"""`report-gen bench reading`: files of every syntax give the encoder the same input, and each is read and decoded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import PIPE

import pytest
import torch
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from report_gen_training.bench import reading
from report_gen_training.bench.pairs import Timing, time_case
from report_gen_training.bench.results import reading_table
from rich.console import Console

from report_gen.errors import OutputError, ReportGenError
from report_gen.phantom import write_phantom

SIZE = (48, 40)


def test_every_syntax_is_read_and_decoded_by_one_process_and_by_two(tmp_path: Path) -> None:
    cases = list(reading.reading_cases(tmp_path, sizes=[SIZE], clock="cpu"))
    assert [case.name.split(",")[0] for case in cases] == ["not compressed", "JPEG-LS", "JPEG 2000", "RLE"]
    for case in cases:
        timing = time_case(case, rounds=2, clock="cpu")
        assert timing.same_results
        assert case.ours() == [SIZE] * reading._IMAGES
    syntaxes = {dcmread(path).file_meta.TransferSyntaxUID for path in tmp_path.iterdir()}
    assert syntaxes == {ExplicitVRLittleEndian, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless}


def test_two_processes_read_too(tmp_path: Path) -> None:
    cases = reading.reading_cases(tmp_path, sizes=[SIZE], clock="wall")
    assert next(cases).name == "not compressed, 48 x 40, one process"
    case = next(cases)
    assert case.name == "not compressed, 48 x 40, two processes"
    assert case.ours() == [SIZE] * reading._IMAGES
    cases.close()


def test_another_input_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([torch.zeros(1), torch.zeros(1), torch.ones(1)])
    monkeypatch.setattr(reading, "_input", lambda _: (None, next(found)))
    with pytest.raises(ReportGenError, match="JPEG lossless: the input of the encoder is not that"):
        list(reading.reading_cases(tmp_path, sizes=[SIZE], clock="cpu"))


def test_a_syntax_that_gdcm_does_not_encode_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportGenError, match="GDCM does not encode JPEGBaselineProcess1"):
        reading._compress(write_phantom(tmp_path, rows=8, columns=8), "JPEGBaselineProcess1")  # 8 bits only


@pytest.mark.parametrize("syntax", ["JPEGLSLossless", "RLELossless"])
def test_a_full_disk(small_files_only: Callable[[], AbstractContextManager[None]], tmp_path: Path, syntax: str) -> None:
    plain = write_phantom(tmp_path, rows=64, columns=64)
    with small_files_only(), pytest.raises(OutputError, match=rf"{syntax}.*: cannot be written \(File too large\)"):
        reading._compress(plain, syntax)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_ends_with_one_sentence(number: signal.Signals) -> None:
    code = """
import time
from report_gen_training.bench.reading import _two_processes
from report_gen.terminal import run_app

def work():
    with _two_processes() as each:
        list(each(time.sleep, [0.01] * 4))
        print("ready", flush=True)
        list(each(time.sleep, [0.3] * 100))

if __name__ == "__main__":
    run_app(work)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=PIPE, stderr=PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, number)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert printed.count("\n") == 1, printed


def test_overhead_by_hand() -> None:
    """The decoder takes 4 ms and reading 5 ms: a quarter more."""
    console = Console(width=200)
    timing = Timing(case="x", unit="image", seconds=(0.005, 0.005), other_seconds=(0.004, 0.004), same_results=True)
    with console.capture() as capture:
        console.print(reading_table([timing]))
    assert "4.0" in capture.get()
    assert "25% (25% to 25%)" in capture.get()
