"""Time two ways to do the same work in alternating order, so that other load on the machine affects both."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import bootstrap

Clock = Literal["wall", "cpu"]
_CLOCKS: dict[Clock, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
_DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class Case:
    """One piece of work, done in two ways or in one."""

    name: str
    units: int
    """Number of studies, tokens or reports that the work processes; times are given for one of them."""
    unit: str
    ours: Callable[[], object]
    theirs: Callable[[], object] | None = None
    """The other implementation. `Timing.same_results` says whether its result equals that of `ours`."""
    agree: Callable[[object, object], bool] = operator.eq
    """Whether a result of `ours` and one of `theirs` are equal."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times of one case."""

    case: str
    unit: str
    seconds: tuple[float, ...]
    """Seconds per unit, one number per round."""
    other_seconds: tuple[float, ...] = ()
    """Seconds per unit of the other way, in the same rounds."""
    same_results: bool | None = None
    """Whether both ways had the same result; None without another way."""
    units: int = 1
    """Number of units of one round."""
    equal_units: int | None = None
    """For how many units both ways had the same result; None if their results are not lists with an item per unit."""

    @property
    def median(self) -> float:
        """Median of the seconds per unit."""
        return float(np.median(self.seconds))

    @property
    def other_median(self) -> float | None:
        """Median of the seconds per unit of the other way."""
        return float(np.median(self.other_seconds)) if self.other_seconds else None

    @property
    def ratio(self) -> float | None:
        """Speedup of our way: the ratio of the medians."""
        return None if self.other_median is None else self.other_median / self.median

    def ratio_interval(self, *, seed: int = 0) -> tuple[float, float] | None:
        """Return the 95% percentile bootstrap interval of the ratio over rounds (Efron and Tibshirani, 1993)."""
        return ratio_interval(self.other_seconds, self.seconds, seed=seed)


def ratio_interval(
    numerator: Sequence[float], denominator: Sequence[float], *, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95% percentile bootstrap interval of the ratio of two medians over paired rounds.

    Args:
        numerator: Times, one number per round.
        denominator: Times in the same rounds.
        seed: Seed of the bootstrap.

    Returns:
        Lower and upper limit; None for fewer than two rounds.
    """
    if len(numerator) < 2:
        return None
    found = bootstrap(
        (np.array(numerator), np.array(denominator)),
        lambda other, own, axis: np.median(other, axis=axis) / np.median(own, axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=_DRAWS,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def time_case(case: Case, *, rounds: int, clock: Clock = "wall") -> Timing:
    """Time a case after one round that does not count, which also compares the results of both ways.

    The ways alternate within a round, and the first one of a round alternates between rounds: what a way leaves in the
    caches of the processor favors neither.

    Args:
        case: The work.
        rounds: Number of measurements of each way, 1 or more.
        clock: `wall` is what a user waits; `cpu` counts the time of this process alone, for a machine with other load.
    """
    ways = [case.ours] if case.theirs is None else [case.ours, case.theirs]
    results = [way() for way in ways]
    seconds: list[list[float]] = [[] for _ in ways]
    for number in range(rounds):
        order: Sequence[int] = range(len(ways)) if number % 2 == 0 else range(len(ways))[::-1]
        for way in order:
            began = _CLOCKS[clock]()
            ways[way]()
            seconds[way].append((_CLOCKS[clock]() - began) / case.units)
    return Timing(
        case=case.name,
        unit=case.unit,
        seconds=tuple(seconds[0]),
        other_seconds=tuple(seconds[1]) if case.theirs else (),
        same_results=case.agree(*results) if case.theirs else None,
        units=case.units,
        equal_units=_count_equal(*results, units=case.units) if case.theirs and case.agree is operator.eq else None,
    )


def _count_equal(ours: object, theirs: object, *, units: int) -> int | None:
    """Return how many items of two lists are equal; None for results that are not lists with an item per unit."""
    if not isinstance(ours, list) or not isinstance(theirs, list) or not len(ours) == len(theirs) == units:
        return None
    return sum(1 for our, other in zip(ours, theirs, strict=True) if our == other)
