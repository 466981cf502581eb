"""From which probability on a finding is told to the decoder as present or uncertain: tuned on the validation split.

A threshold of its own for each finding would be fitted to a handful of positive studies. So one number is tuned for
all: how many studies are called present for each that is, the ratio of calls to cases. A finding's thresholds follow
from it and from its prevalence.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from report_gen.config import FindingConfig

FEWEST = 3
"""Positive and negative studies at least; with fewer in validation and training a finding stays unknown."""
RATIOS = np.arange(0.5, 4.01, 0.25)
TOLERANCE = 0.95
"""Of the best macro-F1; among the ratios within it the smallest is taken, which calls the fewest healthy people ill."""
HEDGED = 1.5
"""A finding is uncertain where it would be present if so many times as many studies were called."""

Floats = NDArray[np.float64]


def fit_thresholds(probabilities: Floats, targets: Floats, prevalence: Floats | None = None) -> FindingConfig:
    """Thresholds by the macro-F1 of the head's probabilities [S,F] of S studies and their targets [S,F].

    Args:
        prevalence: [F], share of the training studies that have a finding, NaN where it is not known. It serves the
            findings of which too few of the S studies are positive to say how common they are.
    """
    findings = list(zip(probabilities.T, targets.T, strict=True))
    judged = [finding for finding in findings if is_supported(finding[1])]
    scores = [np.mean([_f1(*finding, ratio) for finding in judged] or [0.0]) for ratio in RATIOS]
    ratio = RATIOS[np.argmax(np.array(scores) >= TOLERANCE * max(scores))]
    elsewhere = np.full(len(findings), np.nan) if prevalence is None else prevalence
    shares = [_share(finding[1], other) for finding, other in zip(findings, elsewhere, strict=True)]
    cut = list(zip(findings, shares, strict=True))
    return FindingConfig(
        present=tuple(_threshold(*finding, share, ratio) for finding, share in cut),
        uncertain=tuple(_threshold(*finding, share, HEDGED * ratio) for finding, share in cut),
    )


def is_supported(targets: Floats) -> bool:
    """Whether targets [S], NaN where nothing is known, have enough positives and negatives to speak of a finding."""
    known = targets[~np.isnan(targets)]
    return bool(min(known.sum(), (1 - known).sum()) >= FEWEST)


def _share(targets: Floats, elsewhere: float) -> float | None:
    """How common a finding is; soft targets count by their share."""
    if is_supported(targets):
        return float(np.nanmean(targets))
    return None if np.isnan(elsewhere) or np.isnan(targets).all() else float(elsewhere)


def _threshold(probabilities: Floats, targets: Floats, share: float | None, ratio: float) -> float | None:
    """The probability above which `ratio` studies lie for each positive one."""
    if share is None:
        return None
    quantile = np.quantile(probabilities[~np.isnan(targets)], 1 - min(1.0, ratio * share), method="higher")
    return max(float(quantile), float(np.finfo(np.float32).tiny))  # a head may be so sure that probabilities are 0


def _f1(probabilities: Floats, targets: Floats, ratio: float) -> float:
    threshold = _threshold(probabilities, targets, float(np.nanmean(targets)), ratio)
    called = (probabilities >= (threshold or np.inf)) & ~np.isnan(targets)
    return float(2 * targets[called].sum() / (called.sum() + np.nansum(targets)))
