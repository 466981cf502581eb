"""Draw results.png: one chart per figure, with a dot per seed and the baselines as lines."""

from __future__ import annotations

import io
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from report_gen.rendering.figures import replace_missing_glyphs

from .results import Results

_COLUMNS = 3


def draw_results(results: Results) -> bytes:
    """Return `plot_results` as a PNG."""
    buffer = io.BytesIO()
    plot_results(results).savefig(buffer, format="png")
    return buffer.getvalue()


def plot_results(results: Results) -> Figure:
    """Plot one chart per figure: dots for the seeds, a bar for their mean, dashed lines for the baselines."""
    names = results.figures
    rows = math.ceil(len(names) / _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 0.8 + 2.4 * rows), dpi=100, layout="constrained")
    figure.suptitle(replace_missing_glyphs(results.question.title), parse_math=False)
    charts = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes, name in zip(charts, names, strict=False):
        _plot(axes, results, name)
    for axes in charts[len(names) :]:
        axes.axis("off")
    handles, labels = charts[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), fontsize="small")
    return figure


def _plot(axes: Axes, results: Results, name: str) -> None:
    axes.set_title(name.replace(": ", "\n"), fontsize="small", parse_math=False)
    for position, column in enumerate(results.runs.values()):
        if name in column:
            spread = column[name]
            axes.bar(position, spread.mean, color=f"C{position}", alpha=0.4)
            axes.plot([position] * len(spread.values), spread.values, color=f"C{position}", marker="o", linestyle="")
    styles = (":", "--", "-.", "-")
    for number, (baseline, column) in enumerate(results.baselines.items()):
        if name in column:
            style = styles[number % len(styles)]
            axes.axhline(column[name].mean, color="black", linewidth=1, linestyle=style, label=baseline)
    names = [replace_missing_glyphs(run) for run in results.runs]
    axes.set_xticks(range(len(names)), names, fontsize="small", rotation=20)
    axes.axhline(0, color="gray", linewidth=0.8)
