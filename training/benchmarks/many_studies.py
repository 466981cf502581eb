"""Draft many studies with one worker and with two, in turns, and compare time, texts and memory.

python -m report_gen_training.benchmarks.many_studies FOLDER --studies 60 --rounds 3

Each round drafts the same studies with one worker and with two; every other round begins with two. Times leave the
start of the processes out. Memory is the proportional set size of all processes of the command.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from report_gen.errors import ReportGenError
from report_gen.terminal import print_table, print_text, track

from ..bench.pairs import ratio_interval
from .process_tree import CommandRun, run_draft


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of radiographs.")],
    checkpoint: Annotated[str, typer.Option(help="Checkpoint folder or name of an embedded model.")] = "chest_xray",
    studies: Annotated[int, typer.Option(min=8, help="Number of studies of each run.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="Number of rounds.")] = 3,
    workers: Annotated[list[int] | None, typer.Option(min=0, help="Numbers of workers. Default: 1 and 2.")] = None,
) -> None:
    """Draft the same studies with different numbers of workers, and print a table."""
    counts = workers or [1, 2]
    runs: dict[int, list[CommandRun]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as temporary:
        source = _copy_studies(folder, Path(temporary) / "in", studies)
        order = [count for number in range(rounds) for count in (counts if number % 2 == 0 else counts[::-1])]
        for number, count in enumerate(track(order, total=len(order), description="runs")):
            output = Path(temporary) / str(number)
            runs[count].append(_run(source, output, checkpoint, count))
            if _texts(output) != _texts(Path(temporary) / "0"):
                raise ReportGenError(f"the texts with {count} workers differ from those of the first run")
    table = Table("workers", title=f"{studies} studies, medians of {rounds} rounds")
    for heading in ("seconds per study", "processor seconds per study", "MiB in each quarter of the drafts"):
        table.add_column(heading, justify="right")
    for count, of_count in runs.items():
        seconds = [run.steady_seconds for run in of_count]
        cpu = [run.steady_cpu_seconds for run in of_count]
        memory = np.median([run.memory() for run in of_count], axis=0)
        cells = (f"{np.median(seconds):.3f}", f"{np.median(cpu):.3f}", ", ".join(f"{one:.0f}" for one in memory))
        table.add_row(str(count), *cells)
    print_table(table)
    first, last = ([run.steady_seconds for run in runs[count]] for count in (counts[0], counts[-1]))
    limits = ratio_interval(first, last) if rounds > 1 else None
    interval = f" ({limits[0]:.2f} to {limits[1]:.2f})" if limits else ""
    ratio = np.median(first) / np.median(last)
    print_text(f"{counts[-1]} workers are {ratio:.2f}{interval} times as fast as {counts[0]}; all texts are equal")
    print_text(f"load of the machine: {os.getloadavg()[0]:.1f}")


def _copy_studies(folder: Path, target: Path, count: int) -> Path:
    """Copy the first files of a folder, each into a folder of its own, so that each is a study."""
    files = sorted(path for path in folder.iterdir() if path.is_file())[:count]
    if len(files) < count:
        raise ReportGenError(f"{folder}: has {len(files)} files, and {count} are needed; give --studies {len(files)}")
    for path in files:
        (target / path.stem).mkdir(parents=True)
        shutil.copy(path, target / path.stem)
    return target


def _run(source: Path, output: Path, checkpoint: str, workers: int) -> CommandRun:
    log = output.with_suffix(".log")
    run = run_draft(
        [source, "-o", output, "--workers", workers, "--checkpoint", checkpoint, "--force"],
        lambda: len(list(output.glob("*.txt"))),
        environment={**os.environ, "OMP_NUM_THREADS": "1"},
        log=log,
    )
    if run.exit_code:
        raise ReportGenError(f"report-gen draft ended with exit code {run.exit_code}: {log.read_text()[-500:]}")
    return run


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.txt")}


if __name__ == "__main__":
    typer.run(main)
