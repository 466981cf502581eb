"""Stop training runs at random moments with SIGKILL, SIGTERM and SIGINT, resume them, and compare the results.

python -m report_gen_training.benchmarks.kill_and_resume --stops 25
"""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from report_gen.errors import ReportGenError

from ..recipe import Recipe
from ..run import BEST, LAST, LOG, RECIPE
from .child_processes import finish, start, start_server
from .tiny_run import small_recipe, write_corpora

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_EXPECTED = {
    signal.SIGKILL: (-signal.SIGKILL,),
    signal.SIGTERM: (128 + signal.SIGTERM, -signal.SIGTERM),  # before the first step nothing has to be saved
    signal.SIGINT: (128 + signal.SIGINT,),
}
"""Exit codes after each signal."""
_PER_RUN = 8
"""Stops of one run."""
_EARLY = 4
"""One in this many stops happens before the run continues: while libraries start and the corpora are read."""
_LONGEST = 120.0
"""Seconds in which a process must end after a signal."""


@dataclass(frozen=True)
class Stop:
    """A run that was stopped."""

    signal: signal.Signals
    moment: str
    """The last log entry before the stop."""
    exit_code: int


@dataclass(frozen=True)
class StopResults:
    """Outcome of the stopped and resumed runs."""

    stops: tuple[Stop, ...]
    runs: int
    """Number of runs that were stopped, some of them several times."""
    difference: float
    """Largest difference of a weight from the undisturbed run."""
    same_checkpoints: bool
    """Whether all files of the checkpoints are equal to the byte."""
    same_logs: bool
    """Whether the logs have the same entries with the same losses and scores: none is lost or doubled."""
    remains: tuple[str, ...]
    """Temporary files that are left in the run folders."""


def stop_and_resume(
    recipe: Recipe, folder: Path, *, stops: int, seed: int = 0, signals: Sequence[signal.Signals] = SIGNALS
) -> StopResults:
    """Train once undisturbed; then stop and resume further runs at random moments, all in folders inside `folder`.

    Args:
        recipe: The recipe.
        folder: An empty folder.
        stops: Number of stops; a run is stopped up to eight times.
        seed: Seed of the moments.
        signals: The signals, which take turns.

    Raises:
        ReportGenError: A run failed, or a stopped one ended with another exit code than its signal defines.
    """
    whole, random_moment = folder / "whole", random.Random(seed)  # noqa: S311 - moments, not secrets
    start_server()
    began = time.monotonic()
    children = start(recipe, whole)
    first_record = _await_record(children[0], whole / LOG)
    finish(children)
    preparing, working = first_record - began, time.monotonic() - first_record
    done: list[Stop] = []
    runs: list[Path] = []
    while len(done) < stops:
        runs.append(folder / f"run-{len(runs)}")
        for _ in range(min(_PER_RUN, stops - len(done))):
            (child,) = start(recipe, runs[-1], resume=(runs[-1] / RECIPE).exists())
            if len(done) % _EARLY == _EARLY - 1:
                child.join(random_moment.uniform(0, preparing))
            else:
                _await_record(child, runs[-1] / LOG)
                child.join(random_moment.uniform(0, 1.6 * working / _PER_RUN))
            if child.exitcode is not None:
                break
            done.append(_stop(child, runs[-1], signals[len(done) % len(signals)]))
        finish(start(recipe, runs[-1], resume=(runs[-1] / RECIPE).exists()))
    return StopResults(
        stops=tuple(done),
        runs=len(runs),
        difference=max(_difference(whole, run) for run in runs),
        same_checkpoints=all(_checkpoint(run) == _checkpoint(whole) for run in runs),
        same_logs=all(_records(run) == _records(whole) for run in runs),
        remains=tuple(str(path) for run in runs for path in run.rglob("*") if path.suffix in (".tmp", ".old")),
    )


def main(
    stops: Annotated[int, typer.Option(min=1, help="Number of stops.")] = 25,
    seed: Annotated[int, typer.Option(help="Random seed of the moments.")] = 0,
) -> None:
    """Stop and resume small training runs, and compare their checkpoints with that of an undisturbed run."""
    with tempfile.TemporaryDirectory() as folder:
        result = stop_and_resume(small_recipe(write_corpora(Path(folder))), Path(folder), stops=stops, seed=seed)
    table = Table("stop", "signal", "exit code", "last log entry")
    for number, stop in enumerate(result.stops, start=1):
        table.add_row(str(number), stop.signal.name, str(stop.exit_code), stop.moment)
    console = Console()
    console.print(table)
    counts = ", ".join(f"{count} {name}" for name, count in Counter(stop.signal.name for stop in result.stops).items())
    console.print(f"{len(result.stops)} stops ({counts}) of {result.runs} runs, each resumed")
    console.print(
        f"largest difference of a weight: {result.difference:.1e}; "
        f"checkpoints {_verdict(result.same_checkpoints)}; logs {_verdict(result.same_logs)}; "
        f"temporary files left: {len(result.remains)}"
    )


def _stop(child: BaseProcess, run: Path, number: signal.Signals) -> Stop:
    """Send a signal to a run, wait for its end and check its exit code. A run may just have finished."""
    moment = _last_record(run)
    if child.pid is not None:
        os.kill(child.pid, number)
    child.join(_LONGEST)
    if child.exitcode is None:
        child.kill()
        raise ReportGenError(f"{number.name} after {moment}: the run did not end within {_LONGEST:.0f} s")
    if child.exitcode not in (0, *_EXPECTED[number]):
        raise ReportGenError(f"{number.name} after {moment}: the run ended with exit code {child.exitcode}")
    return Stop(number, moment, child.exitcode)


def _await_record(child: BaseProcess, log: Path) -> float:
    """Wait until a child writes to the log, and return the time."""
    before = log.stat().st_mtime_ns if log.exists() else 0
    while child.is_alive() and not (log.exists() and log.stat().st_mtime_ns > before and log.stat().st_size):
        time.sleep(0.005)
    return time.monotonic()


def _last_record(run: Path) -> str:
    """Describe the last complete log entry, and whether a file or folder was partly written."""
    lines = (run / LOG).read_text().split("\n")[:-1] if (run / LOG).exists() else []
    writing = [name for name in (LAST, BEST) if any(run.glob(f".{name}-*"))]
    suffix = f", while writing {writing[0]}" if writing else ""
    if not lines:
        return f"none{suffix}"
    record = json.loads(lines[-1])
    return f"{record['kind']} at step {record['step']} of {record['stage']}{suffix}"


def _difference(whole: Path, other: Path) -> float:
    ours, theirs = (load_file(folder / BEST / "model.safetensors") for folder in (whole, other))
    return max(float((tensor - theirs[name]).abs().max()) for name, tensor in ours.items())


def _checkpoint(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (run / BEST).iterdir()}


def _records(run: Path) -> list[dict[str, Any]]:
    """Return the log entries without their durations."""
    records = map(json.loads, (run / LOG).read_text().splitlines())
    return [{key: value for key, value in record.items() if key != "seconds"} for record in records]


def _verdict(same: bool) -> str:
    return "equal" if same else "DIFFERENT"


if __name__ == "__main__":
    typer.run(main)
