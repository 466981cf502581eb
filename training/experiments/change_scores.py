"""Score how well changes of findings between two studies are told, with intervals over patients.

Axes: P pairs of studies, F findings, and the four cases of `CASES`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from report_gen.metrics import Floats, intervals, resamplings
from report_gen.metrics.auroc import auroc

CASES = ("new", "unchanged", "resolved", "absent")
"""Cases of a finding in two studies: present in the later one only, in both, in the earlier one only, in neither."""
MIN_CASES = 5
"""Least number of new, of unchanged and of resolved cases of a finding that counts in the means."""

Calls = NDArray[np.intp]
"""[P,F], index into `CASES` that a method says of each finding."""


class Estimate(NamedTuple):
    """A score with its 95% interval over patients; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return "" if np.isnan(self.value) else f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class JudgedPairs:
    """Pairs with their true cases, and the draws of their patients that all scores share.

    Args:
        cells: [P,F,4] which case each finding is; none if a label is unknown.
        patients: [P] patient of each pair.
        draws: Bootstrap resamplings of the patients.
        seed: Seed of the bootstrap.
    """

    def __init__(self, cells: NDArray[np.bool_], patients: NDArray[np.str_], *, draws: int, seed: int) -> None:
        names, indices = np.unique(patients, return_inverse=True)
        drawn = np.concatenate([np.ones((1, len(names))), *resamplings(len(names), draws, seed)])
        self.cells, self.patients = cells, len(names)
        self._weights = drawn[:, indices]  # [1+draws,P]; the first row counts every pair once
        counts = cells[..., :3].sum(0).min(-1)
        self.frequent = np.flatnonzero(counts >= MIN_CASES)
        """Findings that count in the means."""

    def balanced_accuracy(self, calls: Calls) -> Floats:
        """Return the mean recall of the four cases [1+draws,F]; NaN where a case does not occur."""
        recalls = []
        for case in range(len(CASES)):
            of_case = self.cells[..., case]  # [P,F]
            total, right = self._weights @ of_case, self._weights @ (of_case & (calls == case))
            recalls.append(_ratio(right, total))
        mean: Floats = np.mean(recalls, axis=0)
        return mean

    def auroc(self, scores: Floats, case: int) -> Floats:
        """Return the AUROC [1+draws,F] of a case against the three others for scores [P,F]."""
        known: NDArray[np.bool_] = np.any(self.cells, axis=-1)
        columns = []
        for finding in range(self.cells.shape[1]):
            rows = known[:, finding]
            columns.append(
                auroc(scores[rows, finding], self.cells[rows, finding, case], self._weights[:, rows])
                if rows.any()
                else np.full(len(self._weights), np.nan)
            )
        return np.stack(columns, axis=-1)

    def mean(self, values: Floats) -> Floats:
        """Return the means [1+draws] of values [1+draws,F] over the findings that count, as far as they are defined."""
        known = np.isfinite(values[:, self.frequent])
        return _ratio(np.where(known, values[:, self.frequent], 0.0).sum(-1), known.sum(-1))

    def precision(self, stated: NDArray[np.bool_], case: int) -> tuple[int, int, Estimate]:
        """Return how many statements [P,F] of a case the labels confirm, how many there are, and their ratio."""
        judged = stated & self.cells.any(-1)
        right = (judged & self.cells[..., case]).sum(1)  # [P]
        ratio = _ratio(self._weights @ right, self._weights @ judged.sum(1))
        return int(right.sum()), int(judged.sum()), estimate(ratio)


def estimate(values: Floats) -> Estimate:
    """Return the first of 1+draws values with the interval of the others that are defined."""
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = intervals(drawn) if len(drawn) else (np.nan, np.nan)
    return Estimate(float(values[0]), float(low), float(high))


def call_by_states(prior_present: NDArray[np.bool_], present: NDArray[np.bool_]) -> Calls:
    """Return the cases that follow from whether each of two studies, read alone, shows a finding [P,F]."""
    return np.select([~prior_present & present, prior_present & present, prior_present & ~present], [0, 1, 2], 3)


def call_by_probabilities(probabilities: Floats, frequencies: Floats) -> Calls:
    """Return the case whose probability is highest in relation to its frequency, which maximizes balanced accuracy.

    Args:
        probabilities: [P,F,4] of the cases.
        frequencies: [F,4] of the cases in the training pairs.
    """
    calls: Calls = np.argmax(probabilities / frequencies.clip(1e-9), axis=-1)
    return calls


def cases_by_present(present: Floats, frequencies: Floats) -> Floats:
    """Return the probabilities [P,F,4] of the cases if only the present study is known.

    Args:
        present: [P,F] probabilities of the findings in the present study.
        frequencies: [F,4] of the cases in the training pairs, which say how often a finding was present before.
    """
    parts = []
    for probability, cases in ((present, frequencies[:, :2]), (1 - present, frequencies[:, 2:])):
        shares = cases / cases.sum(-1, keepdims=True).clip(1e-9)  # [F,2]
        parts.append(probability[..., None] * shares)
    return np.concatenate(parts, axis=-1)


def difference_scores(prior: Floats, present: Floats) -> Floats:
    """Return scores [P,F,3] of new, unchanged and resolved from the probabilities [P,F] of the two studies alone.

    The later study alone ranks "unchanged" better than the negative absolute difference, which ranks absent findings
    first; so the smaller of the two probabilities is used.
    """
    difference = present - prior
    return np.stack([difference, np.minimum(prior, present), -difference], axis=-1)


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide element by element; NaN where the denominator is 0."""
    quotient: Floats = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
