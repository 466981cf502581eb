"""The command `report-gen bench`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from report_gen.terminal import Quiet, Verbose, set_verbosity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from report_gen.records import Study

    from .pairs import Timing
    from .startup import Start

_STUDIES = 8
"""Phantoms that are drawn if no studies are given."""


def bench(
    work: Annotated[
        Literal["generation", "startup"] | None, typer.Argument(help="What to measure. Default: everything.")
    ] = None,
    against: Annotated[
        Literal["transformers"] | None, typer.Option(help="Also do the same work with other software, in turns.")
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(metavar="CHECKPOINT", help="Checkpoint folder or name of an embedded model.")
    ] = "chest_xray",
    studies: Annotated[
        list[Path] | None, typer.Option("--study", metavar="PATH", help="Study to draft. Default: drawn phantoms.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=2, max=1000, help="Measurements of each way.")] = 9,
    clock: Annotated[
        Literal["wall", "cpu"], typer.Option(help="Time that counts. cpu suits a machine with other load.")
    ] = "wall",
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="Threads of torch. Default: its own.")] = None,
    sizes: Annotated[bool, typer.Option("--sizes", help="Also measure larger decoders with random weights.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all times as JSON.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the times as PNG.")] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
) -> None:
    """Measure what report-gen costs on this machine.

    With --against the same work is done in two ways in turns, and the table shows how many times faster report-gen is,
    with a 95% bootstrap interval.
    """
    set_verbosity(verbose=verbose, quiet=quiet)
    import torch

    from report_gen.errors import UsageError
    from report_gen.files import write_atomically
    from report_gen.imaging import read_study
    from report_gen.model import find_checkpoint
    from report_gen.terminal import print_table, print_text, track

    from .generation import draw_studies, generation_cases
    from .machine import describe_machine
    from .pairs import time_case
    from .plot import draw_timings
    from .results import document, startup_table, timing_table

    if plot is not None and work == "startup":
        raise UsageError("--plot draws the times of generation; leave it out")
    find_checkpoint(checkpoint)  # its error comes before any work
    given = [read_study(path) for path in studies or ()]
    if threads is not None:
        torch.set_num_threads(threads)
    timings: list[Timing] = []
    starts: list[Start] = []
    with tempfile.TemporaryDirectory() as temporary:
        found = given or draw_studies(Path(temporary), _STUDIES)
        if work != "startup":
            cases = list(generation_cases(checkpoint, found, against=against is not None, sizes=sizes))
            shown = track(cases, total=len(cases), description="Measuring")
            timings = [time_case(case, rounds=rounds, clock=clock) for case in shown]
            print_table(timing_table(timings, other=against))
        if work != "generation":
            starts = _measure_starts(checkpoint, found[0], Path(temporary), rounds)
            print_table(startup_table(starts))
    machine = describe_machine()
    print_text(_describe(machine))
    if json_file is not None:
        write_atomically(json_file, document(timings, starts, machine, clock=clock, against=against))
    if plot is not None:
        write_atomically(plot, draw_timings(timings, other=against, caption=_describe(machine)))


def _measure_starts(checkpoint: str, study: Study, folder: Path, rounds: int) -> list[Start]:
    """Measure `--help`, `--version` and a draft in new processes."""
    from .startup import measure_start

    draft = ["draft", str(study.images[0].path.resolve()), "--checkpoint", checkpoint, "--force"]
    commands = {"report-gen --help": ["--help"], "report-gen draft": draft}
    return [measure_start(name, arguments, folder=folder, rounds=rounds) for name, arguments in commands.items()]


def _describe(machine: Mapping[str, object]) -> str:
    features = ", ".join(machine["features"]) if isinstance(machine["features"], list) else ""
    return (
        f"{machine['processor']} ({features}), {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['memory_gib']} GiB, load {machine['load']}"
    )
