"""Do the probabilities of the finding head mean what they say? Of 100 studies given 0.2, 20 should have the finding.

Expected calibration error (Naeini et al., AAAI 2015): studies are put into 10 bins of their probability, and the
distance of mean probability and share of positives, weighed by the bins' sizes, is added up. The bins have equal mass,
as in Nguyen and O'Connor (EMNLP 2015): findings are rare, and of bins of equal width the first would hold nearly all.
The error is above 0 by chance alone, the more the fewer studies there are: beside it stands the mean error of
probabilities that are right.

Brier score (Monthly Weather Review 1950): the mean squared distance of probability and label. Beside it stands that of
one who always gives the finding's share of positives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from report_gen.metrics.measure import Floats, Measure, ratio

BINS = 10
ALL = "all findings"
"""Name of what is measured over the answers of all findings in one pool."""
ECE, BRIER, BRIER_OF_SHARE = "ECE", "Brier", "Brier of the share"
"""Names of the measures, which follow the finding's."""
_THROWS = 100
"""Of the labels, for the error by chance."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of like probability."""

    count: int
    probability: float
    """Their mean."""
    positive: float
    """Share of them that are positive, 0..1."""


def reliability(probabilities: Floats, labels: Floats) -> tuple[Bin, ...]:
    """At most 10 bins of equal mass, by rising probability; fewer where many probabilities are equal.

    Args:
        probabilities: of any shape, 0..1.
        labels: of the same shape, 1, 0, or NaN where nothing is known.
    """
    chances, truth = probabilities[np.isfinite(labels)], labels[np.isfinite(labels)]
    places = _bin(chances)
    return tuple(
        Bin(
            count=int((places == place).sum()),
            probability=float(chances[places == place].mean()),
            positive=float(truth[places == place].mean()),
        )
        for place in np.unique(places)
    )


def expected_error(bins: Sequence[Bin]) -> float:
    """The expected calibration error, 0..1; 0 for no bins."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.probability - one.positive) for one in bins) / max(total, 1)


def error_by_chance(probabilities: Floats, labels: Floats, seed: int) -> float:
    """The expected calibration error, on average, were each label positive with exactly the probability given.

    Args:
        probabilities, labels: as of `reliability`.
    """
    chances = probabilities[np.isfinite(labels)]
    places, dice = _bin(chances), np.random.default_rng(seed)
    gaps = chances - (dice.random((_THROWS, len(chances))) < chances)  # [throws,n]
    sums = np.stack([gaps[:, places == place].sum(axis=1) for place in range(BINS)])
    return float(np.abs(sums).sum(axis=0).mean() / max(len(chances), 1))


def calibration_measures(findings: Sequence[str], probabilities: Floats, labels: Floats) -> tuple[Measure, ...]:
    """Calibration error and Brier scores, of all answers and of each finding; bootstrap draws keep the bins.

    Args:
        findings: F names.
        probabilities: [S,F] 0..1.
        labels: [S,F], 1, 0, or NaN where nothing is known.
    """
    pools = [list(range(len(findings))), *([column] for column in range(len(findings)))]
    names = (ALL, *findings)
    errors = np.column_stack([_binned(probabilities[:, pool], labels[:, pool]) for pool in pools])
    return (
        Measure(
            names=tuple(f"{name} {ECE}" for name in names),
            statistics=errors,
            finish=_finish_error,
            recipe=f"bins={BINS},mass=equal",
            of_one_report=False,
        ),
        Measure(
            names=tuple(f"{name} {kind}" for kind in (BRIER, BRIER_OF_SHARE) for name in names),
            statistics=_squares(probabilities, labels),
            finish=_finish_brier,
            recipe="",
            of_one_report=False,
        ),
    )


def _bin(probabilities: Floats) -> NDArray[np.int64]:
    """The bin of each of [n] probabilities; equal ones share one."""
    if not len(probabilities):
        return np.zeros(0, dtype=np.int64)
    inner = np.quantile(probabilities, np.arange(1, BINS) / BINS, method="higher")
    return np.searchsorted(inner, probabilities, side="right")


def _binned(probabilities: Floats, labels: Floats) -> Floats:
    """[S,BINS + 1]: what each study adds to the gap of each bin, and how many of its answers are known."""
    known = np.isfinite(labels)
    sums = np.zeros((len(labels), BINS + 1))
    studies = np.nonzero(known)[0]
    np.add.at(sums, (studies, _bin(probabilities[known])), probabilities[known] - labels[known])
    sums[:, BINS] = known.sum(axis=1)
    return sums


def _finish_error(sums: Floats) -> Floats:
    """[...,pools * (BINS + 1)] -> [...,pools]."""
    parts = sums.reshape(*sums.shape[:-1], -1, BINS + 1)
    return ratio(np.abs(parts[..., :BINS]).sum(axis=-1), parts[..., BINS])


def _squares(probabilities: Floats, labels: Floats) -> Floats:
    """[S,3 * F]: squared distance, label, and whether it is known."""
    known = np.isfinite(labels)
    truth = np.where(known, labels, 0.0)
    return np.column_stack([np.where(known, (probabilities - truth) ** 2, 0.0), truth, known])


def _finish_brier(sums: Floats) -> Floats:
    """[...,3 * F] -> [...,2 * (1 + F)]: the head's, then that of the share of positives."""
    squares, positive, known = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)  # [...,F] each
    spread = positive * (1 - ratio(positive, known))
    pooled = [ratio(part.sum(axis=-1), known.sum(axis=-1))[..., None] for part in (squares, spread)]
    return np.concatenate([pooled[0], ratio(squares, known), pooled[1], ratio(spread, known)], axis=-1)
