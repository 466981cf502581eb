"""Fit the thresholds above which a finding conditions the decoder as present or uncertain, on the validation split.

A separate threshold per finding would be fitted to a handful of positive studies. Therefore one number is fitted for
all findings: the ratio of studies called present to studies that have the finding. The thresholds of a finding follow
from this ratio and from its prevalence.
"""

from __future__ import annotations

import numpy as np

from report_gen.config import FindingConfig

from ..data import Floats, has_enough_labels

RATIOS = np.arange(0.5, 4.01, 0.25)
"""Ratios that are tried."""
TOLERANCE = 0.95
"""Share of the best macro-F1 that the ratio must reach; the smallest such ratio gives the fewest false positives."""
UNCERTAIN_FACTOR = 1.5
"""A finding is uncertain if it would be present at a ratio higher by this factor."""


def fit_thresholds(probabilities: Floats, targets: Floats, prevalence: Floats | None = None) -> FindingConfig:
    """Fit thresholds by macro-F1 to probabilities [S,F] and targets [S,F] of S studies.

    Args:
        prevalence: [F] share of the training studies with a finding, NaN if unknown; used for findings with too few
            positive or negative ones among the S studies.
    """
    findings = list(zip(probabilities.T, targets.T, strict=True))
    supported = [finding for finding in findings if has_enough_labels(finding[1])]
    scores = [np.mean([_f1(*finding, ratio) for finding in supported] or [0.0]) for ratio in RATIOS]
    ratio = RATIOS[np.argmax(np.array(scores) >= TOLERANCE * max(scores))]
    training = np.full(len(findings), np.nan) if prevalence is None else prevalence
    shares = [_share(finding[1], other) for finding, other in zip(findings, training, strict=True)]
    cut = list(zip(findings, shares, strict=True))
    return FindingConfig(
        present=tuple(_threshold(*finding, share, ratio) for finding, share in cut),
        uncertain=tuple(_threshold(*finding, share, UNCERTAIN_FACTOR * ratio) for finding, share in cut),
    )


def _share(targets: Floats, training: float) -> float | None:
    """Return the prevalence of a finding (soft targets count partly), else its prevalence among training studies."""
    if has_enough_labels(targets):
        return float(np.nanmean(targets))
    return None if np.isnan(training) or np.isnan(targets).all() else float(training)


def _threshold(probabilities: Floats, targets: Floats, share: float | None, ratio: float) -> float | None:
    """Return the probability that is exceeded by `ratio` studies per positive study."""
    if share is None:
        return None
    quantile = np.quantile(probabilities[~np.isnan(targets)], 1 - min(1.0, ratio * share), method="higher")
    return max(float(quantile), float(np.finfo(np.float32).tiny))  # probabilities may be exactly 0


def _f1(probabilities: Floats, targets: Floats, ratio: float) -> float:
    threshold = _threshold(probabilities, targets, float(np.nanmean(targets)), ratio)
    called = (probabilities >= (threshold or np.inf)) & ~np.isnan(targets)
    return float(2 * targets[called].sum() / (called.sum() + np.nansum(targets)))
