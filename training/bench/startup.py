"""What a cold start costs: whole processes from the command line to their end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from report_gen.errors import ReportGenError

_MAIN = "import sys; from report_gen.cli import run; sys.argv[0] = 'report-gen'; run()"
_MEASURE = """
import json, os, resource, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - began
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
"""
"""Runs a command and prints what it cost. This is a small process of its own, because the peak memory of a process
includes the memory of the one that started it."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Costs of one command in a new process."""

    command: str
    seconds: tuple[float, ...]
    """Wall-clock seconds, one number per round."""
    cpu_seconds: tuple[float, ...]
    """Seconds of the processor, user and system."""
    peak_mib: float
    """Largest memory of a process, MiB."""

    @property
    def median(self) -> float:
        """Median of the wall-clock seconds."""
        return float(np.median(self.seconds))

    @property
    def cpu_median(self) -> float:
        """Median of the seconds of the processor."""
        return float(np.median(self.cpu_seconds))


def measure_start(name: str, arguments: Sequence[str], *, folder: Path, rounds: int) -> Start:
    """Run a command of report-gen several times in new processes.

    Args:
        name: Name of the command in the result.
        arguments: Arguments of `report-gen`.
        folder: Working folder of the processes.
        rounds: Number of processes that count; one more before them fills the cache of the file system.

    Raises:
        ReportGenError: The command failed.
    """
    found = [_run(arguments, folder) for _ in range(rounds + 1)][1:]
    return Start(
        command=name,
        seconds=tuple(wall for wall, _, _ in found),
        cpu_seconds=tuple(cpu for _, cpu, _ in found),
        peak_mib=max(peak for _, _, peak in found),
    )


def _run(arguments: Sequence[str], folder: Path) -> tuple[float, float, float]:
    """Return wall-clock seconds, processor seconds and peak memory in MiB of one process."""
    command = (sys.executable, "-c", _MEASURE, sys.executable, "-c", _MAIN, *arguments)
    measured = subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True)  # noqa: S603 - report-gen
    code, seconds, cpu_seconds, peak = json.loads(measured.stdout)
    if code:
        raise ReportGenError(
            f"report-gen {arguments[0]} ended with exit code {code}; run this command to see its error"
        )
    return seconds, cpu_seconds, peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes
