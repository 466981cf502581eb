"""Print what commands cost that start in a new process: `python tests/benchmark_start.py [RUNS]`.

The CPU time is that of user and system over all threads. It depends less on other processes than the wall-clock time
does, but it still rises on a busy machine. The table shows the median and the minimum of the runs, the median of the
wall-clock time, and the median of the peak memory (resident set). `score` and `corpus check` stop at their first input
file, which does not exist.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from report_gen.phantom.dicom import write_phantom

PROGRAM = "from report_gen.cli import run; run()"
"""What the console script does."""
EXIT_CODES = (0, 2, 3)
"""Success, and the error of an input file that does not exist."""
COMMANDS = [[], ["draft"], ["demo"], ["score"], ["evaluate"], ["train"], ["corpus"]]
COMMANDS += [["corpus", name] for name in ("check", "split", "convert", "clean")]
CALLS = [[*command, "--help"] for command in COMMANDS]
CALLS += [["train", "--explain"], ["score", "absent.csv", "absent.csv"], ["corpus", "check", "absent"]]
CALLS += [["draft", "phantom.dcm"]]


@dataclass(frozen=True)
class Cost:
    """What one process cost."""

    cpu_seconds: float
    seconds: float
    megabytes: float
    """Peak of the resident set."""


def measure(call: list[str], folder: Path) -> Cost:
    """Return the cost of one call of the console script in a new process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *call], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in EXIT_CODES:
        raise RuntimeError(f"report-gen {' '.join(call)} ended with exit code {process.returncode}")
    kilobytes = usage.ru_maxrss / (1000 if sys.platform == "darwin" else 1000 / 1024)  # macOS counts bytes
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, kilobytes / 1000)


def main(runs: int) -> None:
    """Measure every call and print the table."""
    columns = ("CPU time, s", "its minimum", "wall clock, s", "peak memory, MB")
    table = Table("report-gen", *columns, title=f"Medians of {runs} runs")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_phantom(folder).rename(folder / "phantom.dcm")
        for call in CALLS:
            measure(call, folder)  # fills the file cache and compiles modules
            costs = [measure(call, folder) for _ in range(runs)]
            cpu, wall, memory = zip(*((cost.cpu_seconds, cost.seconds, cost.megabytes) for cost in costs), strict=True)
            median = statistics.median
            row = (f"{median(cpu):.2f}", f"{min(cpu):.2f}", f"{median(wall):.2f}", f"{median(memory):.0f}")
            table.add_row(" ".join(call), *row)
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
