"""Statistical significance: bootstrap intervals, paired tests between two systems, spread over training seeds.

No report is scored twice: a draw of the reports with replacement is a row of weights, and all draws of all measures
are one matrix product with the per-report statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen.metrics.measure import Floats, Measure

LEVEL = 0.95
"""Confidence level of every interval."""
_BLOCK = 2_000_000
"""Number of weights in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One score of two systems on the same reports. The difference is `second - first`."""

    name: str
    first: float
    second: float
    interval: tuple[float, float]
    """95% bootstrap interval of the difference."""
    p_bootstrap: float
    """Two-sided paired bootstrap (Koehn, EMNLP 2004): share of draws at least as far from their mean as 0 is."""
    p_randomization: float
    """Approximate randomization (Riezler and Maxwell, 2005): share of random swaps of the two systems' reports that
    give at least this difference."""


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """One score over several training seeds."""

    name: str
    mean: float
    deviation: float
    """Sample standard deviation; 0 for a single seed."""
    values: tuple[float, ...]


def bootstrap(measures: Sequence[Measure], draws: int, seed: int) -> tuple[Floats, ...]:
    """Score `draws` resamplings of the reports, the same resamplings for all measures.

    Args:
        measures: Measures of the same reports.
        draws: Number of resamplings.
        seed: Seed of the resamplings.

    Returns:
        One array [draws, names] per measure.
    """
    columns = np.column_stack([measure.statistics for measure in measures])
    sums = np.concatenate([weights @ columns for weights in resamplings(len(columns), draws, seed)])
    return tuple(measure.finish(part) for measure, part in zip(measures, _split(sums, measures), strict=True))


def intervals(drawn: Floats) -> Floats:
    """Compute the 95% percentile intervals of scores [draws, names]: lower and upper ends [2, names]."""
    return np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)


def compare(first: Sequence[Measure], second: Sequence[Measure], draws: int, seed: int) -> tuple[Difference, ...]:
    """Compare every score of two systems that have the same measures and reports, in the same order.

    Args:
        first: Measures of the first system.
        second: Measures of the second system.
        draws: Number of resamplings, and of random swaps.
        seed: Seed of both.
    """
    resampled = zip(bootstrap(first, draws, seed), bootstrap(second, draws, seed), strict=True)
    swapped = _swap(first, second, draws, seed)
    return tuple(
        difference
        for one, two, (drawn_one, drawn_two), randomized in zip(first, second, resampled, swapped, strict=True)
        for difference in differences(
            one.names, one.values, two.values, drawn=drawn_two - drawn_one, randomized=randomized
        )
    )


def seed_spread(runs: Sequence[Sequence[tuple[str, float]]]) -> tuple[SeedSpread, ...]:
    """Compute mean and deviation of each score over training seeds.

    Args:
        runs: (name, value) of every score of each seed, in the same order.
    """
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
    """Yield blocks [block, reports] of how often each report was drawn, `draws` rows in all.

    Args:
        reports: Number of reports.
        draws: Number of rows.
        seed: Seed of the draws.
    """
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // max(reports, 1))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = generator.integers(reports, size=(rows, reports)) + np.arange(rows)[:, None] * reports
        yield np.bincount(drawn.ravel(), minlength=rows * reports).reshape(rows, reports).astype(np.float64)


def swaps(reports: int, draws: int, seed: int) -> Iterator[Floats]:
    """Yield blocks [block, reports] of 0 and 1, whether each report is swapped between the systems.

    Args:
        reports: Number of reports.
        draws: Number of rows.
        seed: Seed of the draws.
    """
    generator = np.random.default_rng([seed, 1])
    block = max(1, _BLOCK // max(reports, 1))
    for start in range(0, draws, block):
        yield generator.integers(2, size=(min(block, draws - start), reports)).astype(np.float64)


def differences(
    names: Sequence[str], first: Floats, second: Floats, *, drawn: Floats, randomized: Floats
) -> Iterator[Difference]:
    """Yield the difference of each score of two systems.

    Args:
        names: Names of n scores.
        first, second: [n], the scores of each system.
        drawn: [draws, n], `second - first` on resampled reports.
        randomized: [draws, n], `second - first` after random swaps of reports.
    """
    low, high = intervals(drawn)
    observed = second - first
    # 1 is added to numerator and denominator so that no p-value is 0 (Davison and Hinkley, 1997, section 4.2).
    p_bootstrap = (1 + (np.abs(drawn - drawn.mean(axis=0)) >= np.abs(observed)).sum(axis=0)) / (1 + len(drawn))
    # The tolerance counts equal differences as equal in spite of rounding.
    p_randomized = (1 + (np.abs(randomized) >= np.abs(observed) - 1e-12).sum(axis=0)) / (1 + len(randomized))
    for column, name in enumerate(names):
        yield Difference(
            name=name,
            first=float(first[column]),
            second=float(second[column]),
            interval=(float(low[column]), float(high[column])),
            p_bootstrap=float(p_bootstrap[column]),
            p_randomization=float(p_randomized[column]),
        )


def _split(sums: Floats, measures: Sequence[Measure]) -> list[Floats]:
    ends = np.cumsum([measure.statistics.shape[1] for measure in measures])
    return np.split(sums, ends[:-1], axis=1)


def _swap(first: Sequence[Measure], second: Sequence[Measure], draws: int, seed: int) -> list[Floats]:
    """Compute for each measure [draws, names] the difference after each report was swapped with probability 1/2.

    The sign is that of `first - second`; only absolute values are compared.
    """
    one = np.column_stack([measure.statistics for measure in first])
    two = np.column_stack([measure.statistics for measure in second])
    moved = np.concatenate([swapped @ (two - one) for swapped in swaps(len(one), draws, seed)])
    sides = zip(first, _split(one.sum(axis=0) + moved, first), _split(two.sum(axis=0) - moved, first), strict=True)
    return [measure.finish(left) - measure.finish(right) for measure, left, right in sides]
