"""Calibration of the finding head: of 100 studies with probability 0.2, 20 should have the finding.

Expected calibration error (Naeini et al., AAAI 2015): studies are grouped into 10 bins by probability, and the absolute
differences of mean probability and share of positives are averaged over the bins, weighted by their sizes. The bins
have equal mass, as in Nguyen and O'Connor (EMNLP 2015): findings are rare, so the first of equally wide bins would
contain nearly all studies. Even correct probabilities have an error above 0, the larger the fewer the studies; this
error by chance is shown beside it.

Brier score (Monthly Weather Review 1950): the mean squared difference of probability and label. The score of always
predicting the prevalence is shown beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from report_gen.metrics.measure import Floats, Measure, ratio

CALIBRATION_BINS = 10
ALL_FINDINGS = "all findings"
"""Name of scores over all findings in one pool."""
ECE, BRIER, BRIER_OF_PREVALENCE = "ECE", "Brier", "Brier of prevalence"
"""Names of the scores, which follow the name of the finding."""
_LABEL_DRAWS = 100
"""Random sets of labels for the error by chance."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Predictions of similar probability."""

    count: int
    probability: float
    """Mean probability of the bin."""
    positive: float
    """Share of positives in the bin, 0 to 1."""


def reliability(probabilities: Floats, labels: Floats) -> tuple[Bin, ...]:
    """Group predictions into at most 10 bins of equal mass by increasing probability; equal probabilities share a bin.

    Args:
        probabilities: Any shape, 0 to 1.
        labels: The same shape, 1, 0, or NaN where unknown.
    """
    known, truth = probabilities[np.isfinite(labels)], labels[np.isfinite(labels)]
    bins = _bin(known)
    return tuple(
        Bin(
            count=int((bins == index).sum()),
            probability=float(known[bins == index].mean()),
            positive=float(truth[bins == index].mean()),
        )
        for index in np.unique(bins)
    )


def expected_error(bins: Sequence[Bin]) -> float:
    """Compute the expected calibration error, 0 to 1; 0 for no bins."""
    total = sum(one.count for one in bins)
    return sum(one.count * abs(one.probability - one.positive) for one in bins) / max(total, 1)


def error_by_chance(probabilities: Floats, labels: Floats, seed: int) -> float:
    """Compute the mean calibration error of correct probabilities, by drawing labels with these probabilities.

    Args:
        probabilities: Any shape, 0 to 1.
        labels: The same shape; only whether a label is known (not NaN) matters.
        seed: Seed of the drawn labels.
    """
    known = probabilities[np.isfinite(labels)]
    bins, generator = _bin(known), np.random.default_rng(seed)
    gaps = known - (generator.random((_LABEL_DRAWS, len(known))) < known)  # [draws, n]
    sums = np.stack([gaps[:, bins == index].sum(axis=1) for index in range(CALIBRATION_BINS)])
    return float(np.abs(sums).sum(axis=0).mean() / max(len(known), 1))


def calibration_measures(findings: Sequence[str], probabilities: Floats, labels: Floats) -> tuple[Measure, ...]:
    """Compute calibration error and Brier scores over all findings and of each; bootstrap draws keep the bins.

    Args:
        findings: Names of the F findings.
        probabilities: [S, F], 0 to 1.
        labels: [S, F], 1, 0, or NaN where unknown.
    """
    pools = [list(range(len(findings))), *([column] for column in range(len(findings)))]
    names = (ALL_FINDINGS, *findings)
    errors = np.column_stack([_binned(probabilities[:, pool], labels[:, pool]) for pool in pools])
    return (
        Measure(
            names=tuple(f"{name} {ECE}" for name in names),
            statistics=errors,
            finish=_finish_error,
            variant=f"bins={CALIBRATION_BINS},mass=equal",
            defined_per_report=False,
        ),
        Measure(
            names=tuple(f"{name} {kind}" for kind in (BRIER, BRIER_OF_PREVALENCE) for name in names),
            statistics=_squares(probabilities, labels),
            finish=_finish_brier,
            variant="",
            defined_per_report=False,
        ),
    )


def _bin(probabilities: Floats) -> NDArray[np.int64]:
    """Return the bin index of each probability [n]; equal probabilities share a bin."""
    if not len(probabilities):
        return np.zeros(0, dtype=np.int64)
    inner = np.quantile(probabilities, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS, method="higher")
    return np.searchsorted(inner, probabilities, side="right")


def _binned(probabilities: Floats, labels: Floats) -> Floats:
    """Compute the contribution of each study to the gap of each bin, and its number of known labels [S, bins + 1]."""
    known = np.isfinite(labels)
    sums = np.zeros((len(labels), CALIBRATION_BINS + 1))
    studies = np.nonzero(known)[0]
    np.add.at(sums, (studies, _bin(probabilities[known])), probabilities[known] - labels[known])
    sums[:, CALIBRATION_BINS] = known.sum(axis=1)
    return sums


def _finish_error(sums: Floats) -> Floats:
    """Compute errors [..., pools] from sums [..., pools * (bins + 1)]."""
    parts = sums.reshape(*sums.shape[:-1], -1, CALIBRATION_BINS + 1)
    return ratio(np.abs(parts[..., :CALIBRATION_BINS]).sum(axis=-1), parts[..., CALIBRATION_BINS])


def _squares(probabilities: Floats, labels: Floats) -> Floats:
    """Compute per study [S, 3 * F] the squared differences, the labels, and whether each label is known."""
    known = np.isfinite(labels)
    truth = np.where(known, labels, 0.0)
    return np.column_stack([np.where(known, (probabilities - truth) ** 2, 0.0), truth, known])


def _finish_brier(sums: Floats) -> Floats:
    """Compute Brier scores [..., 2 * (1 + F)] from sums [..., 3 * F]: of the head, then of the prevalence."""
    squares, positive, known = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)  # [..., F] each
    variance = positive * (1 - ratio(positive, known))
    pooled = [ratio(part.sum(axis=-1), known.sum(axis=-1))[..., None] for part in (squares, variance)]
    return np.concatenate([pooled[0], ratio(squares, known), pooled[1], ratio(variance, known)], axis=-1)
