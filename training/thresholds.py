"""From which probability on a finding is told to the decoder as present or uncertain: tuned on the validation split.

A threshold of its own for each finding would be fitted to a handful of positive studies. So one number is tuned for
all: how many studies are called present for each that is, the ratio of calls to cases. A finding's thresholds follow
from it and from its prevalence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from report_gen.model.config import FindingConfig

FEWEST = 3
"""Positive and negative validation studies at least; with fewer a threshold is a guess and the finding unknown."""
RATIOS = np.arange(0.5, 4.01, 0.25)
TOLERANCE = 0.95
"""Of the best macro-F1; among the ratios within it the smallest is taken, which calls the fewest healthy people ill."""
HEDGED = 1.5
"""A finding is uncertain where it would be present if so many times as many studies were called."""

Floats = NDArray[np.float64]


def fit_thresholds(probabilities: Floats, targets: Floats) -> FindingConfig:
    """Thresholds by the macro-F1 of the head's probabilities [S,F] of S studies and their targets [S,F]."""
    findings = list(zip(probabilities.T, targets.T, strict=True))
    taught = [finding for finding in findings if _is_taught(finding[1])]
    scores = [np.mean([_f1(*finding, ratio) for finding in taught] or [0.0]) for ratio in RATIOS]
    ratio = RATIOS[np.argmax(np.array(scores) >= TOLERANCE * max(scores))]
    return FindingConfig(
        present=tuple(_threshold(*finding, ratio) for finding in findings),
        uncertain=tuple(_threshold(*finding, HEDGED * ratio) for finding in findings),
    )


def _is_taught(targets: Floats) -> bool:
    known = targets[~np.isnan(targets)]
    return bool(min(known.sum(), (1 - known).sum()) >= FEWEST)


def _threshold(probabilities: Floats, targets: Floats, ratio: float) -> float | None:
    """The probability above which `ratio` studies lie for each positive one; soft targets count by their share."""
    if not _is_taught(targets):
        return None
    share = min(1.0, ratio * float(np.nanmean(targets)))
    quantile = np.quantile(probabilities[~np.isnan(targets)], 1 - share, method="higher")
    return max(float(quantile), float(np.finfo(np.float32).tiny))  # a head may be so sure that probabilities are 0


def _f1(probabilities: Floats, targets: Floats, ratio: float) -> float:
    called = (probabilities >= (_threshold(probabilities, targets, ratio) or np.inf)) & ~np.isnan(targets)
    return float(2 * targets[called].sum() / (called.sum() + np.nansum(targets)))
