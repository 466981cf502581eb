"""Fuzz the readers for a time, print a table, and keep each fault with the command that reproduces it.

    python -m tests.fuzz --minutes 60 [--target NAME] [--faults FOLDER] [--seed N] [--engine atheris]
    python -m tests.fuzz --replay FOLDER

The exit code is 1 if there were faults. The engine `atheris` needs `pip install atheris`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer
from rich.table import Table

from report_gen.terminal import bars, print_table, print_text
from tests.fuzz.campaign import Campaign, Tally

_SLICE_SECONDS = 20.0
"""Time that one target has before the next has its turn."""


def main(
    minutes: Annotated[float, typer.Option(help="Time for all targets together.")] = 60.0,
    target: Annotated[list[str] | None, typer.Option(help="Name of a target. May be repeated. Default: all.")] = None,
    faults: Annotated[Path, typer.Option(help="Folder for the faults.")] = Path("fuzz-faults"),
    seed: Annotated[int, typer.Option(help="Seed of the mutations; 0 uses the current time.")] = 0,
    engine: Annotated[Literal["mutation", "atheris"], typer.Option(help="Source of the examples.")] = "mutation",
    replay: Annotated[Path | None, typer.Option(help="Read the example of a kept fault again.")] = None,
) -> None:
    """Fuzz the readers for a time."""
    with TemporaryDirectory(prefix="fuzz-") as work, Campaign(Path(work), faults, engine=engine) as campaign:
        if replay is not None:
            print_text(campaign.replay(replay))
            return
        names = target or list(campaign.targets)
        if unknown := set(names) - set(campaign.targets):
            raise typer.BadParameter(
                f"{min(unknown)!r}: choose from {', '.join(campaign.targets)}", param_hint="--target"
            )
        seed = seed or int(time.time())
        tallies = {name: Tally() for name in names}
        try:
            _run(campaign, tallies, 60 * minutes, seed)
        finally:  # also after Ctrl-C
            print_table(_table(tallies, seed))
    kept = [folder for tally in tallies.values() for folder in tally.faults.values()]
    for folder in kept:
        print_text(f"fault: {folder}/fault.txt")
    sys.exit(1 if kept else 0)


def _run(campaign: Campaign, tallies: dict[str, Tally], seconds: float, seed: int) -> None:
    """Run the targets in turns until the time is over."""
    names, start, turns = list(tallies), time.monotonic(), 0
    slice_seconds = min(_SLICE_SECONDS, seconds / len(names))
    with bars() as progress:
        while (spent := time.monotonic() - start) < seconds:
            name = names[turns % len(names)]
            found = sum(len(tally.faults) for tally in tallies.values())
            examples = sum(tally.examples for tally in tallies.values())
            note = f"{name}, {examples} examples"
            progress.show("fuzzing, s", int(spent), int(seconds), note, alarm=f"{found} faults" if found else "")
            campaign.run(name, min(slice_seconds, seconds - spent), seed + turns, tallies[name])
            turns += 1


def _table(tallies: dict[str, Tally], seed: int) -> Table:
    table = Table(title=f"seed {seed}")
    for column in ("target", "examples", "read", "refused", "faults", "slowest, s", "memory, MiB"):
        table.add_column(column, justify="left" if column == "target" else "right")
    for name, tally in tallies.items():
        table.add_row(
            name,
            str(tally.examples),
            str(tally.read),
            str(tally.refused),
            str(len(tally.faults)),
            f"{tally.cpu:.1f}",
            f"{tally.memory / 2**20:.0f}",
        )
    return table


if __name__ == "__main__":
    typer.run(main)
