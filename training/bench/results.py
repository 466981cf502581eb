"""Show the results of `report-gen bench` as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version

from rich.table import Table

from .pairs import Clock, Timing
from .startup import Start
from .tuning import FailedDtype, Tried


def timing_table(timings: Sequence[Timing], *, other: str | None) -> Table:
    """Return a table of the medians, with the ratio to another software."""
    table = Table("work", title="Milliseconds, median of the rounds")
    table.add_column("report-gen", justify="right")
    if other is not None:
        for heading in (other, "speedup", "same result"):
            table.add_column(heading, justify="right")
    for timing in timings:
        cells = [f"{timing.case} (per {timing.unit})", f"{1000 * timing.median:.1f}"]
        if other is not None:
            cells += _compared(timing)
        table.add_row(*cells)
    return table


def _compared(timing: Timing) -> list[str]:
    if timing.other_median is None or timing.ratio is None:
        return ["", "", ""]
    interval = timing.ratio_interval()
    limits = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    same = "" if timing.same_results is None else "yes" if timing.same_results else "NO"
    if timing.equal_units is not None and timing.units > 1:
        same += f", {timing.equal_units} of {timing.units}"
    return [f"{1000 * timing.other_median:.1f}", f"{timing.ratio:.2f}{limits}", same]


def timing_row(timing: Timing) -> dict[str, object]:
    """Return the times of a case for JSON."""
    return asdict(timing) | {"ratio": timing.ratio, "ratio_interval": timing.ratio_interval()}


def reading_table(timings: Sequence[Timing]) -> Table:
    """Return a table of reading beside the decoder alone. The overhead is a share of the time of the decoder."""
    caption = "The overhead is a share of the time of the decoder, which only copies images that are not compressed."
    table = Table("image", title="Milliseconds per image, median of the rounds", caption=caption)
    for heading in ("decoder alone", "report-gen", "overhead"):
        table.add_column(heading, justify="right")
    for timing in timings:
        if timing.other_median is not None and timing.ratio is not None:
            interval = timing.ratio_interval()
            limits = f" ({1 / interval[1] - 1:.0%} to {1 / interval[0] - 1:.0%})" if interval else ""
            table.add_row(
                timing.case,
                f"{1000 * timing.other_median:.1f}",
                f"{1000 * timing.median:.1f}",
                f"{1 / timing.ratio - 1:.0%}{limits}",
            )
    return table


def startup_table(starts: Sequence[Start]) -> Table:
    """Return a table of the costs of new processes."""
    table = Table("command", title="New processes, median of the rounds")
    for heading in ("seconds", "processor seconds", "peak memory, MiB"):
        table.add_column(heading, justify="right")
    for start in starts:
        table.add_row(start.command, f"{start.median:.2f}", f"{start.cpu_median:.2f}", f"{start.peak_mib:.0f}")
    return table


def document(
    timings: Mapping[str, Sequence[Timing]],
    starts: Sequence[Start],
    machine: Mapping[str, object],
    *,
    clock: Clock,
    against: str | None,
) -> str:
    """Return the results as JSON, with the time of every round.

    Args:
        timings: Times by work.
        starts: Costs of new processes.
        machine: Description of the machine.
        clock: Time that counted.
        against: Name of the other software.
    """
    results = {
        "machine": machine,
        "clock": clock,
        "against": against,
        "against_version": None if against is None else version(against),
        **{work: list(map(timing_row, found)) for work, found in timings.items()},
        "startup": [asdict(start) for start in starts],
    }
    return json.dumps(results, indent=2) + "\n"


def tuning_table(tried: Sequence[Tried | FailedDtype], *, studies: int, best: Tried) -> Table:
    """Return a table of settings for drafts; the chosen one is marked. A row without numbers says why it has none."""
    table = Table("dtype", title=f"Default drafts of {studies} studies")
    for heading in (
        "threads",
        "ms per draft",
        "same words as float32",
        "additional contradicted findings per draft",
        "",
    ):
        table.add_column(heading, justify="right")
    for one in tried:
        if isinstance(one, FailedDtype):
            table.add_row(one.dtype, "", "", "", "", f"failed: {one.reason.partition('; ')[0]}")
            continue
        mean, low, high = one.difference
        verdict = "chosen" if one is best else "" if one.accepted else "not as good"
        table.add_row(
            one.tuning.dtype,
            str(one.tuning.threads),
            f"{1000 * one.seconds:.0f}",
            f"{one.equal:.0%}",
            f"{mean:+.3f} ({low:+.3f} to {high:+.3f})",
            verdict,
        )
    return table
