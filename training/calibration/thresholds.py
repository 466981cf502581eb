"""Derive the thresholds of the findings and of a normal study from calibrated probabilities and stated costs.

A threshold fitted to labels would be fitted to a handful of positive studies per finding. With calibrated probabilities
no labels are needed: the expected number of true positives among the studies called present is the sum of their
probabilities. Therefore the labels serve to calibrate all findings together, and the thresholds follow.

A finding has the threshold with the highest expected F-measure (Lipton et al., ECML 2014, "Optimal thresholding of
classifiers to maximize F1 measure"). With a false positive that costs c times as much as a missed finding, this is
F = (1 + c) TP / ((1 + c) TP + FN + c FP), the F-beta of beta^2 = 1 / c. Unlike net benefit (Vickers & Elkin, Med Decis
Making 2006), which has one threshold c / (1 + c) for all findings, the F-measure leads to rare findings being stated.

The decision between normal and abnormal studies is between two frequent classes. It has the threshold of the lowest
expected cost, c / (1 + c). The threshold with the lowest cost among the validation studies varies twice as much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from report_gen.config import FindingConfig
from report_gen.records import FindingSchema

from ..data import Floats
from ..recipe import DecisionRecipe

UNCERTAIN_COST = 2 / 3
"""Share of the cost of a false positive at which the threshold of an uncertain finding is computed."""


def fit_thresholds(
    probabilities: Floats, *, trained: Sequence[bool], schema: FindingSchema, costs: DecisionRecipe
) -> FindingConfig:
    """Return the thresholds for patients with these calibrated probabilities [S,F], S of at least 1.

    Args:
        probabilities: Of studies at natural prevalence.
        trained: [F] whether the head was trained on a finding; the other findings stay unknown.
        schema: The F findings. If it has a trained "no finding", its threshold decides whether a study is normal.
        costs: Costs of wrong decisions.
    """
    cost = costs.false_positive_cost
    normal = schema.index(schema.normal) if schema.normal else None
    with_threshold = [known and index != normal for index, known in enumerate(trained)]
    decides_normal = normal is not None and trained[normal]
    return FindingConfig(
        trained=tuple(trained),
        present=_thresholds(probabilities, with_threshold, cost),
        uncertain=_thresholds(probabilities, with_threshold, UNCERTAIN_COST * cost),
        normal=costs.missed_abnormal_cost / (1 + costs.missed_abnormal_cost) if decides_normal else None,
    )


def _thresholds(probabilities: Floats, with_threshold: Sequence[bool], cost: float) -> tuple[float | None, ...]:
    columns = zip(probabilities.T, with_threshold, strict=True)
    return tuple(_best_threshold(column, cost) if chosen else None for column, chosen in columns)


def _best_threshold(probabilities: Floats, cost: float) -> float:
    """Return the threshold on probabilities [S] with the highest expected F-measure."""
    ordered = np.sort(probabilities)[::-1]
    true_positives, called = ordered.cumsum(), np.arange(1, len(ordered) + 1)
    measure = true_positives / (cost * called + ordered.sum())  # without the factor 1 + cost
    lower = np.append(ordered[1:], 0)
    best = np.where(lower < ordered, measure, -1).argmax()  # equal probabilities are called together or not at all
    # The threshold is between two studies, so that rounding to float32 cannot change a decision.
    return max(float(ordered[best] + lower[best]) / 2, float(np.finfo(np.float32).tiny))
