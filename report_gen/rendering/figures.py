"""Pictures as PNG, drawn by matplotlib: how far probabilities can be trusted, and where a finding's query looked."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import binomtest

from report_gen.library_warnings import ignore_warnings

_COLUMNS = 4
_SIDE, _BIG = 2.4, 4.6
"""Inches of a small and of the large picture."""
_WRAP, _LINE = 64, 0.165
"""Letters of a line of text, and inches from line to line."""
_FLAT = 2.0
"""Colours reach up to so many times the even share at least: even attention shall not look like a peak."""
_OPACITY = 0.6


class Dot(Protocol):
    """Answers of like probability."""

    @property
    def count(self) -> int: ...
    @property
    def probability(self) -> float: ...
    @property
    def positive(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What is drawn of one head, or of one of its findings."""

    title: str
    dots: Sequence[Dot]
    probabilities: Sequence[float]
    """Of all answers."""


def reliability_picture(pooled: Reliability, single: Sequence[Reliability], *, caption: str) -> bytes:
    """A reliability diagram (DeGroot and Fienberg, 1983) as PNG: the share of positives over the mean probability.

    Dots have 95% Wilson intervals; dots on the diagonal are probabilities that mean what they say. Below the large one
    stands how often each probability was given.
    """
    rows = math.ceil(len(single) / _COLUMNS)
    columns = min(len(single), _COLUMNS)
    figure = Figure(figsize=(_BIG + columns * _SIDE, max(1.35 * _BIG, rows * _SIDE)), dpi=120, layout="constrained")
    figure.supxlabel(caption, fontsize="small", parse_math=False)
    if not single:
        _draw_pooled(figure, pooled)
        return _png(figure)
    left, right = figure.subfigures(1, 2, width_ratios=(_BIG, columns * _SIDE), squeeze=False)[0]
    _draw_pooled(left, pooled)
    grid = right.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(grid, single, strict=False):
        _draw_dots(axes, one)
    for axes in grid[len(single) :]:
        axes.set_axis_off()
    return _png(figure)


def attention_picture(
    image: NDArray[np.float32],
    attention: Mapping[str, NDArray[np.float32]],
    *,
    square: tuple[float, float, float],
    text: str,
) -> bytes:
    """An image alone, then with the attention of each finding over it, and a text beside them, as PNG.

    Args:
        image: [H,W] 0..1.
        attention: by title, [g,g] weights over the patches of a square.
        square: its left, top and side, in pixels of the image, of which it may reach beyond the edges.
        text: as it is, but for lines that are wrapped.
    """
    columns = min(1 + len(attention), _COLUMNS)
    rows = math.ceil((1 + len(attention)) / columns)
    side = _BIG if rows == columns == 1 else _BIG * 0.75
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _WRAP) or [""]]
    tall = rows * (side * min(1.5, image.shape[0] / image.shape[1]) + 0.5) + 0.5
    height = max(tall, len(lines) * _LINE + 0.3)
    figure = Figure(figsize=(columns * side + _BIG, height), dpi=120, layout="constrained")
    pictures, page = figure.subfigures(1, 2, width_ratios=(columns * side, _BIG), squeeze=False)[0]
    pictures.supxlabel(
        "Coloured: where a finding's query looked more than evenly; where, not why. Peak: times the even share.",
        fontsize="small",
    )
    grid = pictures.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    _draw_image(grid[0], image, "image")
    for axes, (title, weights) in zip(grid[1:], attention.items(), strict=False):
        heat = weights / weights.mean()
        _draw_image(axes, image, f"{title}\npeak {heat.max():.1f}x")
        _draw_heat(axes, heat, square)
    page.text(0.02, 0.99, "\n".join(lines), va="top", fontsize=9, linespacing=1.25, parse_math=False)
    return _png(figure)


def _draw_pooled(figure: FigureBase, one: Reliability) -> None:
    dots, counts = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    _draw_dots(dots, one)
    dots.set_ylabel("share of positives")
    counts.hist(one.probabilities, bins=40, range=(0, dots.get_xlim()[1]), color="C0")
    counts.set_ylabel("answers")
    counts.set_xlabel("probability")


def _draw_dots(axes: Axes, one: Reliability) -> None:
    """Dots with their intervals beside the diagonal."""
    shares = [dot.positive for dot in one.dots]
    ends = [_interval(dot) for dot in one.dots]
    reach = [[share - low for share, (low, _) in zip(shares, ends, strict=True)]]
    reach.append([high - share for share, (_, high) in zip(shares, ends, strict=True)])
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle="--")
    axes.errorbar(
        [dot.probability for dot in one.dots], shares, np.clip(reach, 0, 1), fmt="o", markersize=4, linewidth=1
    )
    top = min(1.0, 1.05 * max([*one.probabilities, *(high for _, high in ends)]))
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(alpha=0.3)
    axes.set_title(one.title, fontsize="small", parse_math=False)


def _interval(dot: Dot) -> tuple[float, float]:
    ends = binomtest(round(dot.positive * dot.count), dot.count).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)


def _draw_image(axes: Axes, image: NDArray[np.float32], title: str) -> None:
    rows, columns = image.shape
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, columns, rows, 0))
    axes.set_title(title, fontsize="small", parse_math=False)


def _draw_heat(axes: Axes, heat: NDArray[np.float32], square: tuple[float, float, float]) -> None:
    """Shares [g,g], 1 for an even one, where their square lies; cut at the edges of the image that is there already."""
    across, down = axes.get_xlim(), axes.get_ylim()
    x, y, side = square
    top = max(float(heat.max()), _FLAT)
    axes.imshow(
        heat,
        cmap="inferno",
        vmin=1,
        vmax=top,
        alpha=_OPACITY * np.clip((heat - 1) / (top - 1), 0, 1),
        extent=(x, x + side, y + side, y),
        interpolation="bilinear",
    )
    axes.set_xlim(across)
    axes.set_ylim(down)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    ignore_warnings(message="Glyph")  # of a script that the font lacks
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
