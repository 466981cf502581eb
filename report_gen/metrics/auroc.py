"""Area under the ROC curve (AUROC): how well the finding head ranks positive above negative studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from report_gen import __version__
from report_gen.metrics.measure import Floats
from report_gen.metrics.score import Score
from report_gen.metrics.significance import Difference, differences, intervals, resamplings, swaps

MINIMUM_CLASS_SIZE = 5
"""Least number of positive and of negative studies for an interval and for the mean; with fewer, noise dominates."""

AUROC = "AUROC"
"""Name of the score, which follows the name of the finding."""
MEAN_AUROC = f"mean {AUROC}"

_SIGNATURE = f"auroc:mann-whitney,ties=half|version:{__version__}"


def auroc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Compute the probability that a positive study scores higher than a negative one; a tie counts as half.

    This is the Mann-Whitney statistic over the number of pairs (Hanley and McNeil, Radiology 1982).

    Args:
        scores: [S], S > 0, any monotone function of a probability.
        positive: [S], whether each study is positive.
        weights: [..., S], how often each study counts: ones, or a bootstrap draw.

    Returns:
        [...], NaN where the weights leave no positive or no negative study.
    """
    _, ranks = np.unique(scores, return_inverse=True)
    order = np.argsort(ranks, kind="stable")
    starts = np.flatnonzero(np.diff(ranks[order], prepend=-1))
    positives = np.add.reduceat(weights[..., order] * positive[order], starts, axis=-1)  # [..., distinct scores]
    negatives = np.add.reduceat(weights[..., order] * ~positive[order], starts, axis=-1)
    won = (positives * (negatives.cumsum(axis=-1) - negatives / 2)).sum(axis=-1)
    pairs = positives.sum(axis=-1) * negatives.sum(axis=-1)
    return _ratio(won, pairs)


def auroc_scores(
    findings: Sequence[str], probabilities: Floats, labels: Floats, *, draws: int, seed: int, derived: str = ""
) -> tuple[Score, ...]:
    """Compute the AUROC of each finding, and first their mean over the findings with enough studies.

    Args:
        findings: Names of the F findings.
        probabilities: [S, F], 0 to 1.
        labels: [S, F], 1, 0, or NaN where unknown.
        draws: Bootstrap resamplings of the studies; 0 for no intervals.
        seed: Seed of the bootstrap.
        derived: The finding that follows from the others; the mean leaves it out.

    Returns:
        The scores of findings with positive and negative studies; the mean is left out if no finding has enough.
    """
    values = _areas(probabilities, labels, np.ones(len(labels)))  # [F]
    drawn = _draw(probabilities, labels, draws, seed)  # [draws, F]
    averaged, enough = _averaged(findings, labels, derived), _enough(labels)
    scores = [
        Score(
            name=f"{name} {AUROC}",
            value=float(values[column]),
            interval=_interval(drawn[:, column]) if column in enough else None,
            signature=_SIGNATURE,
        )
        for column, name in enumerate(findings)
        if np.isfinite(values[column])
    ]
    if not averaged:
        return tuple(scores)
    mean = Score(
        name=_mean_name(len(averaged)),
        value=float(_mean(values[averaged])),
        interval=_interval(_mean(drawn[:, averaged])),
        signature=_SIGNATURE,
    )
    return (mean, *scores)


def compare_mean_auroc(
    findings: Sequence[str],
    first: Floats,
    second: Floats,
    labels: Floats,
    *,
    draws: int,
    seed: int,
    derived: str = "",
) -> Difference | None:
    """Compare the mean AUROC of two sets of probabilities for the same studies.

    Args:
        findings: Names of the F findings.
        first, second: [S, F], probabilities of each set.
        labels: [S, F], 1, 0, or NaN where unknown.
        draws: Bootstrap resamplings and random swaps of the studies.
        seed: Seed of both.
        derived: The finding that follows from the others; the mean leaves it out.

    Returns:
        None if no finding has enough studies.
    """
    columns = _averaged(findings, labels, derived)
    if not columns:
        return None
    first, second, labels = first[:, columns], second[:, columns], labels[:, columns]
    values = [_mean(_areas(side, labels, np.ones((1, len(labels))))) for side in (first, second)]  # [1] each
    gain = _mean(_draw(second, labels, draws, seed)) - _mean(_draw(first, labels, draws, seed))  # [draws]
    (difference,) = differences(
        [_mean_name(len(columns))],
        *values,
        drawn=gain[np.isfinite(gain), None],
        randomized=_swapped(first, second, labels, draws, seed)[:, None],
    )
    return difference


def _averaged(findings: Sequence[str], labels: Floats, derived: str) -> list[int]:
    """Return the columns of labels [S, F] that are part of the mean."""
    return [column for column in _enough(labels) if findings[column] != derived]


def _enough(labels: Floats) -> list[int]:
    """Return the columns of labels [S, F] with at least `MINIMUM_CLASS_SIZE` positive and negative studies."""
    rarer = np.minimum(np.nansum(labels, axis=0), np.nansum(1 - labels, axis=0))
    return np.flatnonzero(rarer >= MINIMUM_CLASS_SIZE).tolist()


def _mean_name(findings: int) -> str:
    """Return the name of the mean over a number of findings."""
    return f"{MEAN_AUROC}, {findings} findings"


def _areas(probabilities: Floats, labels: Floats, weights: Floats) -> Floats:
    """Compute the AUROC [..., F] for weights [..., S]; NaN for a finding without positive or negative studies."""
    areas = np.full((*weights.shape[:-1], labels.shape[1]), np.nan)
    for column, (scores, truth) in enumerate(zip(probabilities.T, labels.T, strict=True)):
        known = np.isfinite(truth)
        if known.any():
            areas[..., column] = auroc(scores[known], truth[known] > 0, weights[..., known])
    return areas


def _draw(probabilities: Floats, labels: Floats, draws: int, seed: int) -> Floats:
    """Compute the AUROC [draws, F] on resampled studies."""
    blocks = [_areas(probabilities, labels, weights) for weights in resamplings(len(labels), draws, seed)]
    return np.concatenate([np.empty((0, labels.shape[1])), *blocks])


def _swapped(first: Floats, second: Floats, labels: Floats, draws: int, seed: int) -> Floats:
    """Compute the difference [draws] of the means after each study was swapped with probability 1/2.

    Both sets of probabilities are concatenated; weights choose for each study which of the two counts.
    """
    pool, truth = np.concatenate([first, second]), np.concatenate([labels, labels])
    blocks = []
    for swapped in swaps(len(labels), draws, seed):
        weights = np.concatenate([1 - swapped, swapped], axis=1)  # [block, 2S]
        blocks.append(_mean(_areas(pool, truth, 1 - weights)) - _mean(_areas(pool, truth, weights)))
    return np.concatenate(blocks)


def _mean(areas: Floats) -> Floats:
    """Average [..., F] over the findings that are not NaN; NaN for none."""
    known = np.isfinite(areas)
    return _ratio(np.where(known, areas, 0.0).sum(axis=-1), known.sum(axis=-1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divide element by element; NaN where the denominator is 0."""
    quotient: Floats = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _interval(drawn: Floats) -> tuple[float, float] | None:
    """Compute the interval over the draws [draws] with positive and negative studies; None without such a draw."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return None
    low, high = intervals(drawn)
    return float(low), float(high)
