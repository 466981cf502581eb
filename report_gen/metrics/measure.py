"""Per-report statistics of a metric, from which corpus score, report scores and bootstrap draws are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One or more scores of R reports, held as S sufficient statistics per report.

    A corpus score depends on the reports only through the sum of their statistics. The scores of any resampling of the
    reports are therefore one matrix product: `finish(weights @ statistics)`.
    """

    names: tuple[str, ...]
    statistics: Floats
    """[R, S]"""
    finish: Callable[[Floats], Floats]
    """Maps summed statistics [..., S] to scores [..., len(names)]."""
    variant: str
    """What distinguishes this variant from other metrics of the same name. Part of the score's signature."""
    defined_per_report: bool = True
    """Whether the score of a single report is meaningful."""

    @property
    def values(self) -> Floats:
        """[len(names)]: the scores of the whole corpus."""
        return self.finish(self.statistics.sum(axis=0))

    @property
    def per_report(self) -> Floats:
        """[R, len(names)]: the scores of each report, as a corpus of one report."""
        return self.finish(self.statistics)

    def named_values(self) -> Iterator[tuple[str, float]]:
        """Yield the name and value of each corpus score."""
        yield from zip(self.names, self.values.tolist(), strict=True)


def mean_measure(names: Sequence[str], per_report: Floats, variant: str) -> Measure:
    """Make a measure that is the mean of per-report scores [R, len(names)]; 0 for no reports."""
    statistics = np.column_stack([per_report, np.ones(len(per_report))])
    return Measure(names=tuple(names), statistics=statistics, finish=_mean, variant=variant)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide element by element; 0 where the denominator is 0."""
    zeros = np.zeros(np.broadcast(numerator, denominator).shape)
    return np.divide(numerator, denominator, out=zeros, where=denominator != 0)


def _mean(sums: Floats) -> Floats:
    return ratio(sums[..., :-1], sums[..., -1:])
