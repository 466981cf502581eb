"""Draw bar charts and histograms as inline SVG. Text stays text, so that a page can be searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike

_ROW, _LEFT, _WIDTH, _RIGHT = 22, 210, 420, 130
"""Height of a bar's row, and widths of labels, chart and notes, pixels."""
_BINS = 20
_HEIGHT = 110


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A value with its interval."""

    label: str
    value: float
    interval: tuple[float, float] | None
    note: str
    """Text to the right of the bar."""
    faint: bool = False


def draw_bars(bars: Sequence[Bar], *, top: float, title: str) -> str:
    """Draw horizontal bars with intervals on a scale from 0 to `top`, whose ends are written below them."""
    scale = _WIDTH / top if top > 0 else 0.0
    rows = "".join(_bar(bar, number * _ROW, scale) for number, bar in enumerate(bars))
    axis = f"{_LEFT} {_ROW * len(bars)}h{_WIDTH}"
    ends = _ends("0", f"{top:.3f}".rstrip("0").rstrip("."), _ROW * len(bars) + 15)
    return _svg(f'{rows}<path class="axis" d="M{axis}"/>{ends}', _ROW * (len(bars) + 1), title)


def draw_histogram(values: ArrayLike, *, title: str, unit: str = "reports", decimals: int = 2) -> str:
    """Draw a histogram of `values` [N] with 20 bins. `unit` names what is counted."""
    counts, edges = np.histogram(values, bins=_BINS)
    step, tallest = _WIDTH / _BINS, max(int(counts.max()), 1)
    columns = "".join(
        f'<rect class="bar" x="{_LEFT + index * step:.1f}" y="{_HEIGHT * (1 - count / tallest):.1f}" '
        f'width="{step - 1:.1f}" height="{_HEIGHT * count / tallest:.1f}"><title>{count} {escape(unit)}, '
        f"{edges[index]:.{decimals}f} to {edges[index + 1]:.{decimals}f}</title></rect>"
        for index, count in enumerate(counts.tolist())
    )
    ends = _ends(f"{edges[0]:.{decimals}f}", f"{edges[-1]:.{decimals}f}", _HEIGHT + 15)
    label = f'<text x="{_LEFT - 8}" y="{_HEIGHT}" class="end">{escape(title)}</text>'
    return _svg(columns + ends + label, _HEIGHT + _ROW, title)


def _ends(first: str, last: str, y: int) -> str:
    """Write the ends of the scale below a chart."""
    return f'<text x="{_LEFT}" y="{y}">{first}</text><text x="{_LEFT + _WIDTH}" y="{y}" class="end">{last}</text>'


def _bar(bar: Bar, y: int, scale: float) -> str:
    middle, kind = y + _ROW / 2, "bar faint" if bar.faint else "bar"
    parts = [
        f'<text x="{_LEFT - 8}" y="{middle + 4}" class="end">{escape(bar.label)}</text>',
        f'<rect class="{kind}" x="{_LEFT}" y="{y + 4}" width="{bar.value * scale:.1f}" height="{_ROW - 8}"/>',
    ]
    right = bar.value
    if bar.interval is not None:
        low, high = bar.interval
        line = f"M{_LEFT + low * scale:.1f} {middle}H{_LEFT + high * scale:.1f}"
        parts.append(f'<path class="whisker" d="{line}"><title>{low:.3f} to {high:.3f}</title></path>')
        right = max(right, high)
    parts.append(f'<text x="{_LEFT + right * scale + 6:.1f}" y="{middle + 4}">{escape(bar.note)}</text>')
    return "".join(parts)


def _svg(content: str, height: float, title: str) -> str:
    width = _LEFT + _WIDTH + _RIGHT
    return (
        f'<svg role="img" aria-label="{escape(title, quote=True)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{content}</svg>'
    )
