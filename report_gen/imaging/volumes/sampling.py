"""Choose the slices of a stack that are shown to a model that takes V images at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from report_gen.imaging.volumes.volume import Values

_LEVELS = 64
"""Gray levels of the histogram of which the entropy is computed."""
_EMPTY = 0.25
"""Share of the largest content below which a slice at an end of the stack is empty. Air with noise and the table of a
scanner have less, the first slices that cut the body more."""


def sample_evenly(number: int, views: int) -> tuple[int, ...]:
    """Return V of S slices that are spread evenly, the first and the last among them; all if there are at most V.

    Args:
        number: Number S of slices.
        views: Number V of slices to choose, at least 1. A single one is the middle slice.

    Returns:
        Indices in ascending order, min(S, V) different ones.
    """
    _check(views)
    if number <= views:
        return tuple(range(number))
    if views == 1:
        return (number // 2,)
    return tuple(index * (number - 1) // (views - 1) for index in range(views))


def sample_by_content(contents: Sequence[float] | NDArray[np.float64], views: int) -> tuple[int, ...]:
    """Return V of S slices, more of them where slices show more, and none of the empty ones at the ends.

    Slices at the ends are empty if their content is less than a quarter of the largest one. The contents of the others
    are summed up along the stack, the sum is divided into V equal parts, and the slice in the middle of each part is
    chosen. If a slice is the middle of several parts, the next slices are chosen for the other parts. If all contents
    are equal, the result is spread evenly.

    Args:
        contents: [S], content of each slice, 0 or more, from `slice_contents`.
        views: Number V of slices to choose, at least 1.

    Returns:
        Indices in ascending order, different from each other. V of them if so many slices are not empty, else all that
        are not empty.
    """
    _check(views)
    amounts = np.nan_to_num(np.asarray(contents, dtype=np.float64), nan=0.0, posinf=0.0).clip(0)
    filled = np.flatnonzero(amounts >= _EMPTY * amounts.max(initial=0))
    if not filled.size:
        return ()
    first, last = int(filled[0]), int(filled[-1])
    count = last - first + 1
    if count <= views:
        return tuple(range(first, last + 1))
    sums = np.cumsum(amounts[first : last + 1])
    if sums[-1] <= 0:  # all slices are equally empty
        return tuple(first + index for index in sample_evenly(count, views))
    middles = (np.arange(views) + 0.5) / views * sums[-1]
    wanted = np.searchsorted(sums, middles * (1 - 1e-12))
    order = np.arange(views)
    chosen = np.maximum.accumulate(wanted - order) + order  # each at least one after the one before
    chosen = np.minimum(chosen, count - views + order)  # and early enough for those that follow
    return tuple(int(first + index) for index in chosen)


def chunks(number: int, views: int) -> tuple[tuple[int, ...], ...]:
    """Return all S slices in successive chunks of V; the last one has the rest.

    Args:
        number: Number S of slices.
        views: Number V of slices in a chunk, at least 1.
    """
    _check(views)
    return tuple(tuple(range(start, min(start + views, number))) for start in range(0, number, views))


def slice_contents(intensities: Iterable[Values]) -> NDArray[np.float64]:
    """Return how much each slice shows: the entropy of its gray levels, bits.

    A black slice has the content 0, and one with all gray levels in equal numbers 6. The entropy is that of a histogram
    of 64 gray levels over all channels.

    Args:
        intensities: Display intensities of each slice in 0..1, [H,W] or [C,H,W].

    Returns:
        Contents [S].
    """
    return np.array([_entropy(image) for image in intensities], dtype=np.float64)


def _entropy(intensities: Values) -> float:
    levels = (intensities.ravel() * _LEVELS).astype(np.int64).clip(0, _LEVELS - 1)
    shares = np.bincount(levels, minlength=_LEVELS) / max(1, levels.size)
    shares = shares[shares > 0]
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def _check(views: int) -> None:
    if views < 1:
        raise ValueError(f"{views} views: give a number of 1 or more")
