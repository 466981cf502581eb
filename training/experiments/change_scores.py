"""Score how well changes of findings between two studies are recognized, with intervals over patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from report_gen.metrics import Floats, intervals, resamplings
from report_gen.metrics.auroc import auroc

MIN_CASES = 5
"""Least number of new, unchanged and resolved cases of a finding that counts in the mean AUROC."""
CHANGES = 3
"""New, unchanged, resolved: the order of the last axis of scores, and of the first three cells."""


class ScoredPairs(NamedTuple):
    """Labels of P pairs."""

    cells: NDArray[np.bool_]
    """[P,F,4]: new, unchanged, resolved, absent in both; none if a label is unknown."""
    patients: NDArray[np.str_]
    """[P]."""


PairScores = Floats
"""[P,F,3], higher where new, unchanged or resolved is more probable among the three."""


def difference_scores(prior: Floats, present: Floats) -> PairScores:
    """Return scores from the difference of the probabilities [P,F] of the two studies."""
    difference = present - prior
    scores: PairScores = np.stack([difference, -np.abs(difference), -difference], axis=-1)
    return scores


def relative_scores(probabilities: Floats) -> PairScores:
    """Return the probabilities [P,F,3] of the changes, if at least one of the studies shows the finding."""
    scores: PairScores = probabilities / probabilities.sum(-1, keepdims=True).clip(1e-12)
    return scores


def choose_limit(pairs: ScoredPairs, scores: PairScores) -> float:
    """Return the score of "unchanged" from which on a finding is called unchanged, with the best balanced accuracy."""
    values, truth, _ = _cases(pairs, scores)
    limits = np.unique(values[:, 1])
    accuracies = [_balanced_accuracy(values, truth, limit, np.ones(len(truth)))[()] for limit in limits]
    return float(limits[int(np.argmax(accuracies))])


def score_changes(
    pairs: ScoredPairs, scores: PairScores, limit: float, *, draws: int, seed: int
) -> list[tuple[float, float, float]]:
    """Score the cases in which at least one study shows the finding.

    Args:
        pairs: P pairs.
        scores: [P,F,3].
        limit: See `choose_limit`.
        draws: Bootstrap resamplings of the patients.
        seed: Seed of the bootstrap.

    Returns:
        Value and 95% interval of the mean AUROC of new, of unchanged and of resolved, over the findings with enough
        cases, and of the balanced accuracy over all findings.
    """
    patients, indices = np.unique(pairs.patients, return_inverse=True)
    drawn = np.concatenate(list(resamplings(len(patients), draws, seed)))  # [draws,patients]
    weights = np.concatenate([np.ones((1, len(patients))), drawn])[:, indices]  # [1+draws,P]
    values, truth, rows = _cases(pairs, scores)
    found = [
        _mean([_auroc(pairs, scores, finding, change, weights) for finding in _frequent(pairs)], len(weights))
        for change in range(CHANGES)
    ]
    found.append(_balanced_accuracy(values, truth, limit, weights[:, rows]))
    return [(float(one[0]), *_interval(one[1:])) for one in found]


def _mean(values: Sequence[Floats], count: int) -> Floats:
    """Return the means [count] over the values that are defined; NaN where none is."""
    stacked = np.ma.masked_invalid(np.reshape(values, (len(values), count)))
    mean: Floats = np.ma.filled(stacked.mean(axis=0), np.nan) if len(values) else np.full(count, np.nan)
    return mean


def _interval(drawn: Floats) -> tuple[float, float]:
    defined = drawn[np.isfinite(drawn)]
    low, high = intervals(defined[:, None])[:, 0].tolist() if len(defined) else (np.nan, np.nan)
    return low, high


def _frequent(pairs: ScoredPairs) -> list[int]:
    counts = pairs.cells[..., :CHANGES].sum(0).min(-1)
    return [finding for finding, count in enumerate(counts) if count >= MIN_CASES]


def _cases(pairs: ScoredPairs, scores: PairScores) -> tuple[Floats, NDArray[np.intp], NDArray[np.intp]]:
    """Return scores [n,3], the true change [n] and the pair [n] of each case in which a study shows a finding."""
    rows, findings, truth = np.nonzero(pairs.cells[..., :CHANGES])
    return scores[rows, findings], truth, rows


def _auroc(pairs: ScoredPairs, scores: PairScores, finding: int, change: int, weights: Floats) -> Floats:
    shown = pairs.cells[:, finding, :CHANGES].any(-1)
    return auroc(scores[shown, finding, change], pairs.cells[shown, finding, change], weights[:, shown])


def _balanced_accuracy(values: Floats, truth: NDArray[np.intp], limit: float, weights: Floats) -> Floats:
    """Return the mean recall of the three changes [...] under weights [..., n]."""
    called = np.where(values[:, 1] >= limit, 1, np.where(values[:, 0] >= values[:, 2], 0, 2))
    recalls = []
    for change in range(CHANGES):
        of_change = weights * (truth == change)
        total, right = of_change.sum(-1), (of_change * (called == truth)).sum(-1)
        recalls.append(np.divide(right, total, out=np.full_like(total, np.nan), where=total > 0))
    mean: Floats = np.mean(recalls, axis=0)
    return mean
