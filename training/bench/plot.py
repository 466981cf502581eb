"""Draw the times of `report-gen bench`."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from .pairs import Timing

_ROW, _WIDTH, _DPI = 0.45, 9.0, 120
"""Height of a case and width of the figure, inches; dots per inch."""
_OURS, _OTHER = "#1b6ca8", "#c44e20"


def draw_timings(timings: Sequence[Timing], *, other: str | None, caption: str) -> bytes:
    """Draw the rounds of every case as dots on a logarithmic axis, with a line at each median.

    Args:
        timings: Times of the cases.
        other: Name of the other software; None if there is none.
        caption: Text below the figure.

    Returns:
        A PNG file.
    """
    figure = Figure(figsize=(_WIDTH, 1.6 + _ROW * len(timings)), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    _add_dots(axes, [timing.seconds for timing in timings], -0.15, label="report-gen", color=_OURS)
    if other is not None:
        _add_dots(axes, [timing.other_seconds for timing in timings], 0.15, label=other, color=_OTHER)
    for row, timing in enumerate(timings):
        axes.vlines(1000 * timing.median, row - 0.3, row, color=_OURS)
        if timing.other_median is not None:
            axes.vlines(1000 * timing.other_median, row, row + 0.3, color=_OTHER)
    labels = [
        f"{timing.case} (per {timing.unit})" + (f"\nspeedup {timing.ratio:.2f}" if timing.ratio is not None else "")
        for timing in timings
    ]
    axes.set_yticks(range(len(timings)), labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # labels of all digits would overlap
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("milliseconds")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper right", ncols=2)
    figure.supxlabel(caption, fontsize="small", parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _add_dots(axes: Axes, rounds: Sequence[Sequence[float]], shift: float, *, label: str, color: str) -> None:
    """Add a dot for every round of every case."""
    times = [1000 * second for seconds in rounds for second in seconds]
    heights = [row + shift for row, seconds in enumerate(rounds) for _ in seconds]
    axes.plot(times, heights, "o", color=color, alpha=0.5, label=label)
