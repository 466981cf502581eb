"""Draw curves.png from the log: losses, validation scores, distinct drafts and learning rates over the steps."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.ndimage import uniform_filter1d

from report_gen.rendering.figures import replace_missing_glyphs

from ..run import selection_scores
from .history import Record, StageHistory

_WINDOW = 0.05
"""Share of a stage's steps over which the training loss is averaged."""

Values = Callable[[Record], Mapping[str, float | None]]
Offset = tuple[int, StageHistory]
"""A stage, and the number of steps before it."""


def draw_curves(history: Sequence[StageHistory], min_distinct: Mapping[str, float], *, title: str) -> bytes:
    """Return `plot_curves` as a PNG."""
    buffer = io.BytesIO()
    plot_curves(history, min_distinct, title=title).savefig(buffer, format="png")
    return buffer.getvalue()


def plot_curves(history: Sequence[StageHistory], min_distinct: Mapping[str, float], *, title: str) -> Figure:
    """Plot four charts over the steps of all stages: losses, validation scores, distinct drafts, learning rates.

    Args:
        history: Stages in order.
        min_distinct: Stage name -> minimum share of distinct drafts.
    """
    stages = [(sum(stage.length for stage in history[:index]), stage) for index, stage in enumerate(history)]
    figure = Figure(figsize=(11, 12), dpi=100, layout="constrained")
    figure.suptitle(f"{replace_missing_glyphs(title)} (stars: weights kept by a stage)", parse_math=False)
    charts = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 2, 2))
    losses, scores, diversity, rates = charts
    _draw_training_loss(losses, stages)
    _draw_validations(losses, stages, _losses, first_color=1)
    _draw_validations(scores, stages, _scores)
    _draw_validations(diversity, stages, lambda record: {"drafts": record.get("distinct")})
    _draw_collapses(diversity, stages, min_distinct)
    _draw_rates(rates, stages)
    names = ("loss", "validation scores", "distinct drafts\nper distinct reference", "learning rates")
    for axes, name in zip(charts, names, strict=True):
        _finish(axes, name, stages)
    _name_stages(losses, stages)
    rates.set_xlabel("steps")
    rates.set_xlim(0, max(1, sum(stage.length for stage in history)))
    rates.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _losses(record: Record) -> dict[str, float | None]:
    """Return the minimized loss of a validation, and its parts if it has several."""
    parts = record.get("losses") or {}
    named = {f"validation, {name}": loss for name, loss in parts.items()} if len(parts) > 1 else {}
    return {"validation": record.get("loss"), **named}


def _scores(record: Record) -> dict[str, float | None]:
    accuracies = {f"{name} accuracy": share for name, share in (record.get("accuracies") or {}).items()}
    return {**(record.get("scores") or {}), **accuracies}


def _draw_training_loss(axes: Axes, stages: Sequence[Offset]) -> None:
    for start, stage in stages:
        steps, values = _points(stage.steps, start, lambda record: record, "loss")
        if values:
            axes.plot(steps, values, color="C0", alpha=0.25, linewidth=0.8)
            smooth = uniform_filter1d(values, max(1, round(_WINDOW * len(values))), mode="nearest")
            axes.plot(steps, smooth, color="C0", label="training, smoothed")


def _draw_validations(axes: Axes, stages: Sequence[Offset], values: Values, *, first_color: int = 0) -> None:
    """Draw one line per value name, with a star at the validation whose weights each stage kept."""
    names = dict.fromkeys(
        name for _, stage in stages for record in stage.validations.values() for name in values(record)
    )
    selecting = selection_scores(names)
    for color, name in enumerate(names, start=first_color):
        minor = len(names) > len(selecting) and name not in selecting
        for start, stage in stages:
            style: dict[str, Any] = {"color": f"C{color}", "markersize": 4, "label": name}
            style |= {"alpha": 0.5, "linestyle": "--"} if minor else {}
            _plot(axes, _points(stage.validations, start, values, name), marker="o", **style)
            _plot(
                axes,
                _points(stage.kept, start, values, name),
                marker="*",
                **style | {"markersize": 14, "label": "_kept"},
            )


def _draw_collapses(axes: Axes, stages: Sequence[Offset], min_distinct: Mapping[str, float]) -> None:
    for start, stage in stages:
        drafted = any(record.get("distinct") is not None for record in stage.validations.values())
        if drafted and stage.name in min_distinct:
            ends = [start, start + stage.length]
            collapsed = {step: record for step, record in stage.validations.items() if record.get("collapsed")}
            points = _points(collapsed, start, lambda record: record, "distinct")
            _plot(axes, points, color="C3", marker="X", markersize=9, linestyle="", label="collapse")
            axes.plot(ends, [min_distinct[stage.name]] * 2, color="C3", linestyle="--", label="minimum")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _draw_rates(axes: Axes, stages: Sequence[Offset]) -> None:
    names = dict.fromkeys(name for _, stage in stages for record in stage.steps.values() for name in _rates(record))
    for color, name in enumerate(names):
        for start, stage in stages:
            _plot(axes, _points(stage.steps, start, _rates, name), color=f"C{color}", label=name)
    if axes.lines:
        axes.set_yscale("log")


def _rates(record: Record) -> Mapping[str, float | None]:
    return record.get("rates") or {}


def _points(records: Mapping[int, Record], start: int, values: Values, name: str) -> tuple[list[int], list[float]]:
    """Return steps and values, where the value is finite."""
    pairs = [(start + step, values(record).get(name)) for step, record in sorted(records.items())]
    kept = [(step, number) for step, number in pairs if number is not None and math.isfinite(number)]
    return [step for step, _ in kept], [number for _, number in kept]


def _plot(axes: Axes, points: tuple[list[int], list[float]], **style: Any) -> None:
    """Plot points with a legend entry, if there are any."""
    if points[0]:
        axes.plot(*points, **style)


def _finish(axes: Axes, name: str, stages: Sequence[Offset]) -> None:
    axes.set_ylabel(name)
    axes.grid(alpha=0.3)
    for start, _ in stages[1:]:
        axes.axvline(start, color="black", linewidth=0.8, linestyle=":")
    drawn = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if drawn:
        axes.legend(list(drawn.values()), list(drawn), loc="best", fontsize="small")
    else:
        axes.text(0.5, 0.5, "no data yet", transform=axes.transAxes, ha="center", va="center", color="gray")


def _name_stages(axes: Axes, stages: Sequence[Offset]) -> None:
    """Write the name of each stage above the middle of its steps."""
    for start, stage in stages:
        middle = (start + stage.length / 2, 1.0)
        coordinates = axes.get_xaxis_transform()
        name = replace_missing_glyphs(stage.name)
        axes.annotate(name, middle, (0, 3), coordinates, "offset points", ha="center", parse_math=False)
