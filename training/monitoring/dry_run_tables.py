"""Show a dry run at the terminal: parameters, speed, hours, memory and the first texts."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .dry_run_results import DryRun, StageDryRun
from .first_batch import FirstText

_SHOWN = 2
"""Texts shown per stage."""


def render_dry_run(dry_run: DryRun) -> RenderableType:
    """Return everything except the images."""
    return Group(
        _figures(dry_run),
        Text(),
        *map(Text, _memory(dry_run)),
        Text(),
        *(part for stage in dry_run.stages for part in _first_texts(stage)),
    )


def _figures(dry_run: DryRun) -> Table:
    """Return a table with one column per stage."""
    stages = dry_run.stages
    table = Table(box=SIMPLE_HEAD)
    for head in ("", "total", *(f"stage {one.stage.name}" for one in stages)):
        table.add_column(Text(head), justify="right" if head else "left")
    for part, count in dry_run.parameters.items():
        trained = [one.trained[part] for one in stages]
        table.add_row(f"{part} parameters", f"{count:,}", *(f"{n:,} trained" if n else "frozen" for n in trained))
    table.add_row("steps", "", *(f"{one.stage.steps:,}" for one in stages))
    table.add_row("studies per step", "", *(f"{one.studies:.0f}" for one in stages))
    table.add_row("report tokens per step", "", *(f"{one.tokens:.0f}" for one in stages))
    table.add_row("time per step", "", *(_time(one.seconds) for one in stages))
    table.add_row("time to make its batches", "", *(_time(one.batch_seconds) for one in stages))
    table.add_row("time per validation, estimated", "", *(_time(one.validation_seconds) for one in stages))
    total = sum(one.whole_seconds for one in stages)
    table.add_row("total time, at most", _time(total), *(_time(one.whole_seconds) for one in stages), style="bold")
    return table


def _time(seconds: float) -> str:
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 90:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _memory(dry_run: DryRun) -> Iterator[str]:
    estimate = _size(dry_run.estimated_bytes)
    yield f"Memory of weights, best weights, gradients and optimizer state (estimate): {estimate}."
    yield f"Peak memory of this process, everything included: {_size(dry_run.peak_bytes)}."
    if dry_run.gpu_bytes is not None:
        yield f"Peak GPU memory: {_size(dry_run.gpu_bytes)}."


def _size(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _first_texts(dry_run: StageDryRun) -> Iterator[RenderableType]:
    name = dry_run.stage.name
    if not dry_run.texts:
        yield Text(f"Stage {name}: the first batch has no reports.", end="\n\n")
    for text in dry_run.texts[:_SHOWN]:
        yield Text(f"Stage {name}, study {text.study_id}, {text.tokens} tokens", style="bold")
        yield Padding(Text("\n".join(_lines(text))), (0, 0, 1, 4))


def _lines(text: FirstText) -> Iterator[str]:
    for state, names in text.states.items():
        yield f"given as {state}: {', '.join(names)}"
    yield f"prompt: {text.prompt}"
    yield f"report: {text.report}"
