"""How far a figure could be chance: bootstrap intervals, tests between two systems, several seeds.

Nothing is scored again: a draw of the reports with replacement is a row of weights, and all draws of all measures are
one matrix product with the per-report statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen.metrics.measure import Floats, Measure

LEVEL = 0.95
_BLOCK = 2_000_000
"""Weights held at a time."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two systems on the same reports. Differences are `second - first`."""

    name: str
    first: float
    second: float
    interval: tuple[float, float]
    """Bootstrap interval of the difference, 95%."""
    p_bootstrap: float
    """Paired bootstrap (Koehn, EMNLP 2004), two-sided: how often a draw lies as far from its mean as 0 does."""
    p_randomisation: float
    """Approximate randomisation (Riezler and Maxwell, 2005): how often swapping the reports' authors does as much."""


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """One score over several training seeds."""

    name: str
    mean: float
    deviation: float
    """Sample standard deviation; 0 for a single seed."""
    values: tuple[float, ...]


def bootstrap(measures: Sequence[Measure], draws: int, seed: int) -> tuple[Floats, ...]:
    """For each measure [draws, names]: its scores on `draws` resamplings of the reports, the same for all measures."""
    columns = np.column_stack([measure.statistics for measure in measures])
    sums = np.concatenate([weights @ columns for weights in resamplings(len(columns), draws, seed)])
    return tuple(measure.finish(part) for measure, part in zip(measures, _split(sums, measures), strict=True))


def intervals(drawn: Floats) -> Floats:
    """[2, names]: the ends of the 95% percentile interval of scores [draws, names]."""
    return np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)


def compare(first: Sequence[Measure], second: Sequence[Measure], draws: int, seed: int) -> tuple[Difference, ...]:
    """Every score of two systems whose measures and reports are the same, in the same order."""
    resampled = zip(bootstrap(first, draws, seed), bootstrap(second, draws, seed), strict=True)
    swapped = _swap(first, second, draws, seed)
    return tuple(
        difference
        for one, two, (drawn_one, drawn_two), by_chance in zip(first, second, resampled, swapped, strict=True)
        for difference in differences(
            one.names, one.values, two.values, drawn=drawn_two - drawn_one, by_chance=by_chance
        )
    )


def spread(runs: Sequence[Sequence[tuple[str, float]]]) -> tuple[SeedSpread, ...]:
    """Mean and deviation of each score over several seeds; each run is its (name, value) in the same order."""
    return tuple(
        SeedSpread(
            name=scores[0][0],
            mean=float(np.mean([value for _, value in scores])),
            deviation=float(np.std([value for _, value in scores], ddof=1)) if len(scores) > 1 else 0.0,
            values=tuple(value for _, value in scores),
        )
        for scores in zip(*runs, strict=True)
    )


def resamplings(reports: int, draws: int, seed: int) -> Iterator[Floats]:
    """Blocks [b, reports] of how often each report was drawn."""
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // max(reports, 1))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = generator.integers(reports, size=(rows, reports)) + np.arange(rows)[:, None] * reports
        yield np.bincount(drawn.ravel(), minlength=rows * reports).reshape(rows, reports).astype(np.float64)


def swaps(reports: int, draws: int, seed: int) -> Iterator[Floats]:
    """Blocks [b, reports] of 0 and 1: whether each report changes sides."""
    generator = np.random.default_rng([seed, 1])
    block = max(1, _BLOCK // max(reports, 1))
    for start in range(0, draws, block):
        yield generator.integers(2, size=(min(block, draws - start), reports)).astype(np.float64)


def differences(
    names: Sequence[str], first: Floats, second: Floats, *, drawn: Floats, by_chance: Floats
) -> Iterator[Difference]:
    """One for each score of two systems.

    Args:
        names: [n] of the scores.
        first, second: [n], the scores of each system.
        drawn: [draws, n], `second - first` on resampled reports.
        by_chance: [draws, n], the same after reports changed sides.
    """
    low, high = intervals(drawn)
    observed = second - first
    # One is added to both so that a p-value is never 0 (Davison and Hinkley, 1997, section 4.2).
    p_bootstrap = (1 + (np.abs(drawn - drawn.mean(axis=0)) >= np.abs(observed)).sum(axis=0)) / (1 + len(drawn))
    p_swapped = (1 + (np.abs(by_chance) >= np.abs(observed) - 1e-12).sum(axis=0)) / (1 + len(by_chance))
    for column, name in enumerate(names):
        yield Difference(
            name=name,
            first=float(first[column]),
            second=float(second[column]),
            interval=(float(low[column]), float(high[column])),
            p_bootstrap=float(p_bootstrap[column]),
            p_randomisation=float(p_swapped[column]),
        )


def _split(sums: Floats, measures: Sequence[Measure]) -> list[Floats]:
    ends = np.cumsum([measure.statistics.shape[1] for measure in measures])
    return np.split(sums, ends[:-1], axis=1)


def _swap(first: Sequence[Measure], second: Sequence[Measure], draws: int, seed: int) -> list[Floats]:
    """For each measure [draws, names]: the difference after each report changed sides with probability one half."""
    one = np.column_stack([measure.statistics for measure in first])
    two = np.column_stack([measure.statistics for measure in second])
    moved = np.concatenate([changed @ (two - one) for changed in swaps(len(one), draws, seed)])
    sides = zip(first, _split(one.sum(axis=0) + moved, first), _split(two.sum(axis=0) - moved, first), strict=True)
    return [measure.finish(left) - measure.finish(right) for measure, left, right in sides]
