"""Kill a training run at random moments, resume it, and compare its weights with an undisturbed run.

python -m report_gen_training.benchmarks.kill_and_resume --kills 10
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from ..recipe import Recipe
from ..run import BEST, LAST, LOG, RECIPE
from .child_processes import finish, start, start_server
from .tiny_run import small_recipe, write_corpora


@dataclass(frozen=True)
class KillResults:
    """Outcome of a disturbed run."""

    moments: tuple[str, ...]
    """The last log entry before every kill."""
    difference: float
    """Largest difference of a weight from the undisturbed run."""
    same_log: bool
    """Whether the log has the same steps and validations with the same losses."""


def kill_and_resume(recipe: Recipe, folder: Path, *, kills: int, seed: int = 0) -> KillResults:
    """Train once undisturbed and once with `kill -9` at random moments, in two folders inside `folder`.

    One in five kills happens before the first step, the others during steps, validations and saves. A run that ends
    before all kills are done is killed fewer times.
    """
    whole, killed = folder / "whole", folder / "killed"
    start_server()
    began = time.monotonic()
    children = start(recipe, whole)
    first_record = _await_record(children[0], whole / LOG)
    finish(children)
    working = time.monotonic() - first_record
    moments, random_moment = [], random.Random(seed)  # noqa: S311 - moments, not secrets
    for number in range(kills):
        (child,) = start(recipe, killed, resume=(killed / RECIPE).exists())
        if number % 5 == 4:
            child.join(random_moment.uniform(0, first_record - began))
        else:
            _await_record(child, killed / LOG)
            child.join(random_moment.uniform(0, 1.6 * working / kills))
        if child.exitcode is not None:
            break
        child.kill()
        child.join()
        moments.append(_last_record(killed))
    finish(start(recipe, killed, resume=True))
    return KillResults(tuple(moments), _difference(whole, killed), _records(whole) == _records(killed))


def main(
    kills: Annotated[int, typer.Option(min=1, help="Number of kills.")] = 10,
    seed: Annotated[int, typer.Option(help="Random seed of the moments.")] = 0,
) -> None:
    """Kill and resume a small training run, and compare its weights with an undisturbed run."""
    with tempfile.TemporaryDirectory() as folder:
        result = kill_and_resume(small_recipe(write_corpora(Path(folder))), Path(folder), kills=kills, seed=seed)
    table = Table("kill", "last log entry")
    for number, moment in enumerate(result.moments, start=1):
        table.add_row(str(number), moment)
    Console().print(table)
    Console().print(
        f"largest difference of a weight: {result.difference:.1e}; log {'equal' if result.same_log else 'DIFFERENT'}"
    )


def _await_record(child: BaseProcess, log: Path) -> float:
    """Wait until a child writes to the log, and return the time."""
    before = log.stat().st_mtime_ns if log.exists() else 0
    while child.is_alive() and not (log.exists() and log.stat().st_mtime_ns > before and log.stat().st_size):
        time.sleep(0.005)
    return time.monotonic()


def _last_record(run: Path) -> str:
    """Describe the last complete log entry, and whether a state was partly written."""
    lines = (run / LOG).read_text().split("\n")[:-1] if (run / LOG).exists() else []
    if not lines:
        return "none"
    record = json.loads(lines[-1])
    saving = ", while saving" if any(run.glob(f".{LAST}-*")) else ""
    return f"{record['kind']} at step {record['step']} of {record['stage']}{saving}"


def _difference(whole: Path, other: Path) -> float:
    ours, theirs = (load_file(folder / BEST / "model.safetensors") for folder in (whole, other))
    return max(float((tensor - theirs[name]).abs().max()) for name, tensor in ours.items())


def _records(run: Path) -> list[tuple[str, str, int, float | None]]:
    records = map(json.loads, (run / LOG).read_text().splitlines())
    return [(one["kind"], one["stage"], one["step"], one.get("loss")) for one in records]


if __name__ == "__main__":
    typer.run(main)
