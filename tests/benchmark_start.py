"""Print how much CPU time commands take to start: `python tests/benchmark_start.py [RUNS]`.

The CPU time is that of user and system over all threads. It depends less on other processes than the wall-clock time
does, but it still rises on a busy machine. The table shows the median and the minimum of the runs. `score` and
`corpus check` stop at their first input file, which does not exist.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from report_gen.phantom.dicom import write_phantom

PROGRAM = "from report_gen.cli import main; main()"
EXIT_CODES = (0, 2, 3)
"""Success, and the error of an input file that does not exist."""
COMMANDS = [[], ["draft"], ["demo"], ["score"], ["evaluate"], ["train"], ["corpus"]]
COMMANDS += [["corpus", name] for name in ("check", "split", "convert", "clean")]
CALLS = [[*command, "--help"] for command in COMMANDS]
CALLS += [["train", "--explain"], ["score", "absent.csv", "absent.csv"], ["corpus", "check", "absent"]]
CALLS += [["draft", "phantom.dcm"]]


def cpu_seconds(call: list[str], folder: Path) -> float:
    """Return the CPU time of one call of the console script in a new process."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *call], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in EXIT_CODES:
        raise RuntimeError(f"report-gen {' '.join(call)} ended with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main(runs: int) -> None:
    """Measure every call and print the table."""
    table = Table("report-gen", "median, s", "minimum, s", title=f"CPU time of {runs} runs")
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_phantom(folder).rename(folder / "phantom.dcm")
        for call in CALLS:
            cpu_seconds(call, folder)  # fills the file cache and compiles modules
            seconds = [cpu_seconds(call, folder) for _ in range(runs)]
            table.add_row(" ".join(call), f"{statistics.median(seconds):.2f}", f"{min(seconds):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
