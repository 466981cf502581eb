"""Draw figures as PNG with matplotlib: reliability diagrams, attention over an image, preprocessing, and slices."""

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
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import binomtest

from report_gen.records import DRAWING, Box
from report_gen.rendering.wrapping import wrap_small

_COLUMNS = 4
_DPI = 120
_PANEL, _LARGE_PANEL = 2.4, 4.6
"""Side length of a small panel and of the large panel, inches."""
_WRAP, _LINE_HEIGHT = 64, 0.165
"""Characters per line of text, and height of a line, inches."""
_MIN_COLOR_RANGE = 2.0
"""Least upper end of the color scale, in multiples of uniform attention, so that near-uniform attention has no peak."""
_OPACITY = 0.6


class ReliabilityBin(Protocol):
    """Predictions of similar probability."""

    @property
    def count(self) -> int: ...
    @property
    def probability(self) -> float: ...
    @property
    def positive(self) -> float: ...


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Data of the reliability diagram of one classifier, or of one of its findings."""

    title: str
    bins: Sequence[ReliabilityBin]
    """Bins with the mean probability and the fraction of positives."""
    probabilities: Sequence[float]
    """Probabilities of all predictions."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """An image with a title and a rectangle."""

    title: str
    image: NDArray[np.float32]
    """Display intensities [H,W] in 0..1."""
    outline: Box
    """Rectangle in pixels of the image; it is not drawn if it is the whole image."""


def draw_reliability(pooled: Reliability, single: Sequence[Reliability], *, caption: str) -> bytes:
    """Draw reliability diagrams (DeGroot and Fienberg, 1983): fraction of positives over mean probability.

    Points have 95% Wilson intervals. Points on the diagonal are calibrated probabilities. A histogram below the large
    diagram shows how often each probability was predicted.

    Args:
        pooled: The large diagram.
        single: The small diagrams beside it.
        caption: Text below the figure.

    Returns:
        A PNG file.
    """
    rows = math.ceil(len(single) / _COLUMNS)
    columns = min(len(single), _COLUMNS)
    figure = Figure(
        figsize=(_LARGE_PANEL + columns * _PANEL, max(1.35 * _LARGE_PANEL, rows * _PANEL)),
        dpi=_DPI,
        layout="constrained",
    )
    figure.supxlabel(replace_missing_glyphs(caption), fontsize="small", parse_math=False)
    if not single:
        _draw_pooled(figure, pooled)
        return _png(figure)
    left, right = figure.subfigures(1, 2, width_ratios=(_LARGE_PANEL, columns * _PANEL), squeeze=False)[0]
    _draw_pooled(left, pooled)
    grid = right.subplots(rows, columns, squeeze=False).ravel()
    for axes, reliability in zip(grid, single, strict=False):
        _draw_bins(axes, reliability)
    for axes in grid[len(single) :]:
        axes.set_axis_off()
    return _png(figure)


def draw_attention(
    image: NDArray[np.float32],
    attention: Mapping[str, NDArray[np.float32]],
    *,
    square: tuple[float, float, float],
    part: Box,
    text: str,
) -> bytes:
    """Draw an image, the same image with the attention of each finding over it, and a text.

    Args:
        image: Display intensities [H,W] in 0..1.
        attention: By title, weights [g,g] over the patches of a square.
        square: Left edge, top edge and side of the square, in pixels of the image; it may extend beyond the image.
        part: The part of the image that the square shows; the attention is clipped to it.
        text: Text beside the images; long lines are wrapped.

    Returns:
        A PNG file.
    """
    columns = min(1 + len(attention), _COLUMNS)
    rows = math.ceil((1 + len(attention)) / columns)
    side = _LARGE_PANEL if rows == columns == 1 else _LARGE_PANEL * 0.75
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _WRAP) or [""]]
    images_height = rows * (side * min(1.5, image.shape[0] / image.shape[1]) + 0.5) + 0.5
    height = max(images_height, len(lines) * _LINE_HEIGHT + 0.3)
    figure = Figure(figsize=(columns * side + _LARGE_PANEL, height), dpi=_DPI, layout="constrained")
    images, page = figure.subfigures(1, 2, width_ratios=(columns * side, _LARGE_PANEL), squeeze=False)[0]
    images.supxlabel(
        "Color: attention of a finding above uniform attention: what the model used, not where the finding is.\n"
        "Peak: in multiples of uniform attention.",
        fontsize="small",
    )
    grid = images.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    _draw_image(grid[0], image, "image")
    _outline(grid[0], part, image)
    for axes, (title, weights) in zip(grid[1:], attention.items(), strict=False):
        relative = weights / weights.mean()
        _draw_image(axes, image, f"{title}\npeak {relative.max():.1f}x")
        _draw_heatmap(axes, relative, square, _outline(axes, part, image))
    page.text(
        0.02,
        0.99,
        replace_missing_glyphs("\n".join(lines)),
        va="top",
        fontsize=9,
        linespacing=1.25,
        parse_math=False,
    )
    return _png(figure)


def draw_preprocessing(rows: Sequence[Sequence[Panel]], *, caption: str) -> bytes:
    """Draw one row of panels for each image of a study.

    Args:
        rows: Panels of each image, in the order of the preprocessing.
        caption: Text below the figure.

    Returns:
        A PNG file.
    """
    columns, side = max(map(len, rows)), _LARGE_PANEL * 0.75
    heights = [side * max(min(1.5, panel.image.shape[0] / panel.image.shape[1]) for panel in row) + 0.5 for row in rows]
    caption = wrap_small(caption, columns * side)
    figure = Figure(figsize=(columns * side, sum(heights) + 0.5), dpi=_DPI, layout="constrained")
    figure.supxlabel(replace_missing_glyphs(caption), fontsize="small", parse_math=False)
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for axes in grid.ravel():
        axes.set_axis_off()
    for row, panels in zip(grid, rows, strict=True):
        for axes, panel in zip(row, panels, strict=False):
            _draw_image(axes, panel.image, panel.title)
            _outline(axes, panel.outline, panel.image)
    return _png(figure)


def draw_strips(strips: Sequence[tuple[str, NDArray[np.float32]]], *, caption: str) -> bytes:
    """Draw wide images below each other at their size in pixels, each with a title above it.

    Args:
        strips: Title and display intensities [H,W] in 0..1 of each image, all of one width.
        caption: Text below the figure.

    Returns:
        A PNG file.
    """
    width = max(_LARGE_PANEL, max(image.shape[1] for _, image in strips) / _DPI)
    titles, caption = [wrap_small(title, width) for title, _ in strips], wrap_small(caption, width)
    lines = [0.4 + text.count("\n") * _LINE_HEIGHT for text in (*titles, caption)]
    heights = [image.shape[0] / _DPI + line for (_, image), line in zip(strips, lines, strict=False)]
    figure = Figure(figsize=(width, sum(heights) + lines[-1]), dpi=_DPI, layout="constrained")
    figure.supxlabel(replace_missing_glyphs(caption), fontsize="small", parse_math=False)
    grid = figure.subplots(len(strips), 1, squeeze=False, height_ratios=heights).ravel()
    for axes, title, (_, image) in zip(grid, titles, strips, strict=True):
        axes.set_axis_off()
        _draw_image(axes, image, title)
    return _png(figure)


def _draw_pooled(figure: FigureBase, reliability: Reliability) -> None:
    diagram, histogram = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    _draw_bins(diagram, reliability)
    diagram.set_ylabel("fraction of positives")
    histogram.hist(reliability.probabilities, bins=40, range=(0, diagram.get_xlim()[1]), color="C0")
    histogram.set_ylabel("predictions")
    histogram.set_xlabel("probability")


def _draw_bins(axes: Axes, reliability: Reliability) -> None:
    """Draw one point with its interval for each bin, and the diagonal."""
    fractions = [one.positive for one in reliability.bins]
    intervals = [_wilson_interval(one) for one in reliability.bins]
    errors = [[fraction - low for fraction, (low, _) in zip(fractions, intervals, strict=True)]]
    errors.append([high - fraction for fraction, (_, high) in zip(fractions, intervals, strict=True)])
    axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8, linestyle="--")
    axes.errorbar(
        [one.probability for one in reliability.bins],
        fractions,
        np.clip(errors, 0, 1),
        fmt="o",
        markersize=4,
        linewidth=1,
    )
    top = min(1.0, 1.05 * max([*reliability.probabilities, *(high for _, high in intervals)]))
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.grid(alpha=0.3)
    axes.set_title(replace_missing_glyphs(reliability.title), fontsize="small", parse_math=False)


def _wilson_interval(one: ReliabilityBin) -> tuple[float, float]:
    interval = binomtest(round(one.positive * one.count), one.count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def _draw_image(axes: Axes, image: NDArray[np.float32], title: str) -> None:
    rows, columns = image.shape
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(0, columns, rows, 0))
    axes.set_title(replace_missing_glyphs(title), fontsize="small", parse_math=False)


def _outline(axes: Axes, part: Box, image: NDArray[np.float32]) -> Rectangle | None:
    """Outline a part of the image that is drawn already; None for all of it, which needs no outline."""
    if part == Box(0, 0, *image.shape):
        return None
    rectangle = Rectangle(
        (part.left, part.top),
        part.columns,
        part.rows,
        fill=False,
        edgecolor="tab:orange",
        linewidth=1.2,
        linestyle="--",
    )
    axes.add_patch(rectangle)
    return rectangle


def _draw_heatmap(
    axes: Axes, relative: NDArray[np.float32], square: tuple[float, float, float], clip: Rectangle | None
) -> None:
    """Draw attention [g,g], 1 = uniform, at the position of its square, clipped to the image that is drawn already."""
    across, down = axes.get_xlim(), axes.get_ylim()
    x, y, side = square
    top = max(float(relative.max()), _MIN_COLOR_RANGE)
    heatmap = axes.imshow(
        relative,
        cmap="inferno",
        vmin=1,
        vmax=top,
        alpha=_OPACITY * np.clip((relative - 1) / (top - 1), 0, 1),
        extent=(x, x + side, y + side, y),
        interpolation="bilinear",
    )
    if clip is not None:  # the rest of the image is not what these patches showed to the model
        heatmap.set_clip_path(clip)
    axes.set_xlim(across)
    axes.set_ylim(down)


def replace_missing_glyphs(text: str) -> str:
    """Replace characters that matplotlib's font lacks; it would warn of each and draw an empty box."""
    font = get_font(findfont(FontProperties()))
    return "".join(c if c.isspace() or font.get_char_index(ord(c)) else "\N{REPLACEMENT CHARACTER}" for c in text)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None, DRAWING: "not an image of a patient"})
    return buffer.getvalue()
