"""Train with one process and with two over gloo on the same batches, and compare the losses.

python -m report_gen_training.benchmarks.processes
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from ..recipe import Recipe
from ..run import LOG
from .child_processes import finish, start
from .tiny_run import small_recipe, write_corpora


@dataclass(frozen=True)
class Compared:
    """A step or validation of a run with one process and of a run with two."""

    kind: str
    stage: str
    step: int
    one: float
    """Loss with one process."""
    two: float
    """Loss with two processes."""
    same_scores: bool
    """Whether the draft scores are equal; True for steps."""


def compare(recipe: Recipe, folder: Path) -> list[Compared]:
    """Train in two folders inside `folder`, with one process and with two."""
    logs = []
    for processes in (1, 2):
        finish(start(recipe, folder / str(processes), processes=processes))
        records = map(json.loads, (folder / str(processes) / LOG).read_text().splitlines())
        logs.append([record for record in records if record.get("loss") is not None])
    return [
        Compared(
            kind=one["kind"],
            stage=one["stage"],
            step=one["step"],
            one=one["loss"],
            two=two["loss"],
            same_scores=one.get("scores") == two.get("scores"),
        )
        for one, two in zip(*logs, strict=True)
    ]


def main() -> None:
    """Train with one process and with two, and print their losses and the differences."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = small_recipe(write_corpora(Path(folder)), dropout=0.0)
        rows = compare(recipe, Path(folder))
    table = Table("stage", "step", "", "one process", "two processes", "difference")
    for row in rows:
        figures = (f"{row.one:.6f}", f"{row.two:.6f}", f"{row.two - row.one:+.1e}")
        table.add_row(row.stage, str(row.step), "" if row.kind == "step" else row.kind, *figures)
    Console().print(table)
    Console().print(f"largest difference: {max(abs(row.two - row.one) for row in rows):.1e}")


if __name__ == "__main__":
    typer.run(main)
