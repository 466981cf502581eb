"""What every measure returns: sums over reports, so that a corpus, a report and a bootstrap draw share one formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One or more scores of R reports, held as S sufficient statistics per report.

    A corpus score depends on the reports only through the sum of their statistics. So it is had again for any
    resampling of the reports by one matrix product: `finish(weights @ statistics)`.
    """

    names: tuple[str, ...]
    statistics: Floats
    """[R, S]"""
    finish: Callable[[Floats], Floats]
    """Summed statistics [..., S] -> scores [..., len(names)]."""
    recipe: str
    """What distinguishes this form of the measure from its namesakes, for the signature."""
    of_one_report: bool = True
    """Whether the score of a single report means anything."""

    @property
    def values(self) -> Floats:
        """[len(names)]: the scores of the whole corpus."""
        return self.finish(self.statistics.sum(axis=0))

    @property
    def per_report(self) -> Floats:
        """[R, len(names)]: each report scored as a corpus of its own."""
        return self.finish(self.statistics)


def mean_measure(names: Sequence[str], per_report: Floats, recipe: str) -> Measure:
    """A measure that is the mean of its per-report scores [R, len(names)]; 0 for no reports."""
    statistics = np.column_stack([per_report, np.ones(len(per_report))])
    return Measure(names=tuple(names), statistics=statistics, finish=_mean, recipe=recipe)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """numerator / denominator, and 0 where the denominator is 0."""
    zeros = np.zeros(np.broadcast(numerator, denominator).shape)
    return np.divide(numerator, denominator, out=zeros, where=denominator != 0)


def _mean(sums: Floats) -> Floats:
    return ratio(sums[..., :-1], sums[..., -1:])
