"""curves.png: how losses, scores, variety and learning rates went, from the log alone."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy.ndimage import uniform_filter1d

from ..run.events import selection_scores
from .history import Record, StageHistory

_WINDOW = 0.05
"""Share of a stage's steps whose mean is a point of the smoothed training loss."""

Values = Callable[[Record], Mapping[str, float | None]]
Placed = Sequence[tuple[int, StageHistory]]
"""Stages, each with the steps that were done before it."""


def draw_curves(history: Sequence[StageHistory], floors: Mapping[str, float], *, title: str) -> bytes:
    """`plot_curves` as a PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name in a script that the font lacks
        plot_curves(history, floors, title=title).savefig(buffer, format="png")
    return buffer.getvalue()


def plot_curves(history: Sequence[StageHistory], floors: Mapping[str, float], *, title: str) -> Figure:
    """Four charts over the steps of all stages: losses, validation scores, share of distinct drafts, learning rates.

    Args:
        history: stages in their order.
        floors: of distinct drafts, by stage.
    """
    placed = [(sum(stage.length for stage in history[:place]), stage) for place, stage in enumerate(history)]
    figure = Figure(figsize=(11, 12), dpi=100, layout="constrained")
    figure.suptitle(f"{title} (stars: the weights that a stage keeps)", parse_math=False)
    charts = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 2, 2))
    losses, scores, diversity, rates = charts
    _draw_training_loss(losses, placed)
    _draw_validations(losses, placed, lambda record: {"validation": record.get("loss")}, first_colour=1)
    _draw_validations(scores, placed, _scores)
    _draw_validations(diversity, placed, lambda record: {"drafts": record.get("distinct")})
    _draw_collapses(diversity, placed, floors)
    _draw_rates(rates, placed)
    names = ("loss", "validation scores", "different drafts\nper different reference", "learning rates")
    for axes, name in zip(charts, names, strict=True):
        _finish(axes, name, placed)
    _name_stages(losses, placed)
    rates.set_xlabel("steps")
    rates.set_xlim(0, max(1, sum(stage.length for stage in history)))
    rates.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _scores(record: Record) -> dict[str, float | None]:
    accuracies = {f"{name} recognised": share for name, share in (record.get("accuracies") or {}).items()}
    return {**(record.get("scores") or {}), **accuracies}


def _draw_training_loss(axes: Axes, placed: Placed) -> None:
    for start, stage in placed:
        steps, values = _points(stage.steps, start, lambda record: record, "loss")
        if values:
            axes.plot(steps, values, color="C0", alpha=0.25, linewidth=0.8)
            smooth = uniform_filter1d(values, max(1, round(_WINDOW * len(values))), mode="nearest")
            axes.plot(steps, smooth, color="C0", label="training, smoothed")


def _draw_validations(axes: Axes, placed: Placed, values: Values, *, first_colour: int = 0) -> None:
    """A line a stage for each name among the values, with a star where the weights that the stage kept stand."""
    names = dict.fromkeys(
        name for _, stage in placed for record in stage.validations.values() for name in values(record)
    )
    chosen_by = selection_scores(names)
    for colour, name in enumerate(names, start=first_colour):
        light = {"alpha": 0.5, "linestyle": "--"} if len(names) > len(chosen_by) and name not in chosen_by else {}
        for start, stage in placed:
            style: dict[str, Any] = {"color": f"C{colour}", "markersize": 4, "label": name} | light
            _plot(axes, _points(stage.validations, start, values, name), marker="o", **style)
            chosen = [step for step, record in stage.validations.items() if record.get("chosen")]
            kept = {step: stage.validations[step] for step in chosen[-1:]}
            _plot(axes, _points(kept, start, values, name), marker="*", **style | {"markersize": 14, "label": "_kept"})


def _draw_collapses(axes: Axes, placed: Placed, floors: Mapping[str, float]) -> None:
    for start, stage in placed:
        judged = any(record.get("distinct") is not None for record in stage.validations.values())
        if judged and stage.name in floors:
            ends = [start, start + stage.length]
            fallen = {step: record for step, record in stage.validations.items() if record.get("collapsed")}
            points = _points(fallen, start, lambda record: record, "distinct")
            _plot(axes, points, color="C3", marker="X", markersize=9, linestyle="", label="collapse")
            axes.plot(ends, [floors[stage.name]] * 2, color="C3", linestyle="--", label="floor")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _draw_rates(axes: Axes, placed: Placed) -> None:
    names = dict.fromkeys(name for _, stage in placed for record in stage.steps.values() for name in _rates(record))
    for colour, name in enumerate(names):
        for start, stage in placed:
            _plot(axes, _points(stage.steps, start, _rates, name), color=f"C{colour}", label=name)
    if axes.lines:
        axes.set_yscale("log")


def _rates(record: Record) -> Mapping[str, float | None]:
    return record.get("rates") or {}


def _points(records: Mapping[int, Record], start: int, values: Values, name: str) -> tuple[list[int], list[float]]:
    """Steps and values, where there is a finite one."""
    pairs = [(start + step, values(record).get(name)) for step, record in sorted(records.items())]
    kept = [(step, number) for step, number in pairs if number is not None and math.isfinite(number)]
    return [step for step, _ in kept], [number for _, number in kept]


def _plot(axes: Axes, points: tuple[list[int], list[float]], **style: Any) -> None:
    """A line with its place in the legend, if there is one to draw."""
    if points[0]:
        axes.plot(*points, **style)


def _finish(axes: Axes, name: str, placed: Placed) -> None:
    axes.set_ylabel(name)
    axes.grid(alpha=0.3)
    for start, _ in placed[1:]:
        axes.axvline(start, color="black", linewidth=0.8, linestyle=":")
    drawn = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    if drawn:
        axes.legend(list(drawn.values()), list(drawn), loc="best", fontsize="small")
    else:
        axes.text(0.5, 0.5, "nothing yet", transform=axes.transAxes, ha="center", va="center", color="grey")


def _name_stages(axes: Axes, placed: Placed) -> None:
    """Above the first chart, over the middle of each stage."""
    for start, stage in placed:
        place = (start + stage.length / 2, 1.0)
        kind = axes.get_xaxis_transform()
        axes.annotate(stage.name, place, (0, 3), kind, "offset points", ha="center", parse_math=False)
