"""Kill a training at random moments and resume it; hold its weights against those of one that nobody disturbed.

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

from ..recipe.schema import Recipe
from ..run.folder import BEST, LAST, LOG, RECIPE
from .child_processes import finish, read_libraries, start
from .tiny_run import small_recipe, write_corpora


@dataclass(frozen=True)
class Kills:
    """What became of a disturbed run."""

    moments: tuple[str, ...]
    """What the run had done last, of every kill."""
    difference: float
    """Largest of a weight from that of the undisturbed run."""
    same_log: bool
    """Whether its log tells of the same steps and validations with the same losses."""


def disturb(recipe: Recipe, folder: Path, *, kills: int, seed: int = 0) -> Kills:
    """Train once in peace and once with `kill -9` at random moments, in two folders inside `folder`.

    One in five kills comes before the first step, the others while the run steps, validates and saves. A run that ends
    before it had them all is killed fewer times.
    """
    whole, killed = folder / "whole", folder / "killed"
    read_libraries()
    began = time.monotonic()
    children = start(recipe, whole)
    awoke = _await_life(children[0], whole / LOG)
    finish(children)
    working = time.monotonic() - awoke
    moments, chance = [], random.Random(seed)  # noqa: S311 - moments, not secrets
    for number in range(kills):
        (child,) = start(recipe, killed, resume=(killed / RECIPE).exists())
        if number % 5 == 4:
            child.join(chance.uniform(0, awoke - began))
        else:
            _await_life(child, killed / LOG)
            child.join(chance.uniform(0, 1.6 * working / kills))
        if child.exitcode is not None:
            break
        child.kill()
        child.join()
        moments.append(_last_deed(killed))
    finish(start(recipe, killed, resume=True))
    return Kills(tuple(moments), _difference(whole, killed), _story(whole) == _story(killed))


def main(
    kills: Annotated[int, typer.Option(min=1, help="How often.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    """Print when a small training was killed, and how far its weights are from those of an undisturbed one."""
    with tempfile.TemporaryDirectory() as folder:
        result = disturb(small_recipe(write_corpora(Path(folder))), Path(folder), kills=kills, seed=seed)
    table = Table("kill", "the last thing in the log")
    for number, moment in enumerate(result.moments, start=1):
        table.add_row(str(number), moment)
    Console().print(table)
    Console().print(
        f"largest difference of a weight: {result.difference:.1e}; log {'equal' if result.same_log else 'DIFFERENT'}"
    )


def _await_life(child: BaseProcess, log: Path) -> float:
    """When a child began to write to the log."""
    before = log.stat().st_mtime_ns if log.exists() else 0
    while child.is_alive() and not (log.exists() and log.stat().st_mtime_ns > before and log.stat().st_size):
        time.sleep(0.005)
    return time.monotonic()


def _last_deed(run: Path) -> str:
    """The last line of the log that is whole, and whether a state was half written."""
    lines = (run / LOG).read_text().split("\n")[:-1] if (run / LOG).exists() else []
    if not lines:
        return "nothing yet"
    record = json.loads(lines[-1])
    saving = ", while it saved" if any(run.glob(f".{LAST}-*")) else ""
    return f"{record['kind']} at step {record['step']} of {record['stage']}{saving}"


def _difference(whole: Path, other: Path) -> float:
    ours, theirs = (load_file(run / BEST / "model.safetensors") for run in (whole, other))
    return max(float((tensor - theirs[name]).abs().max()) for name, tensor in ours.items())


def _story(run: Path) -> list[tuple[str, str, int, float | None]]:
    records = map(json.loads, (run / LOG).read_text().splitlines())
    return [(one["kind"], one["stage"], one["step"], one.get("loss")) for one in records]


if __name__ == "__main__":
    typer.run(main)
