"""Does the finding head rank studies that have a finding above those that have not? The area under the ROC curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from report_gen import __version__
from report_gen.metrics.measure import Floats
from report_gen.metrics.score import Score
from report_gen.metrics.significance import Difference, differences, intervals, resamplings, swaps

FEWEST = 5
"""Positive and negative studies at least for an interval and a place in the mean; with fewer it is mostly noise."""

AUROC = "AUROC"
"""Name of the measure, which follows the finding's."""
MEAN = f"mean {AUROC}"

_SIGNATURE = f"auroc:mann-whitney,ties=half|version:{__version__}"


def auroc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """[...]: the chance that a positive study scores higher than a negative one; a tie counts as half.

    The Mann-Whitney statistic over the number of pairs (Hanley and McNeil, Radiology 1982).

    Args:
        scores: [S], S > 0; any monotone function of a probability will do.
        positive: [S].
        weights: [...,S], how often each study counts: ones, or a bootstrap draw. NaN comes of weights that leave no
            positive or no negative study.
    """
    _, ranks = np.unique(scores, return_inverse=True)
    order = np.argsort(ranks, kind="stable")
    starts = np.flatnonzero(np.diff(ranks[order], prepend=-1))
    sick = np.add.reduceat(weights[..., order] * positive[order], starts, axis=-1)  # [...,different scores]
    well = np.add.reduceat(weights[..., order] * ~positive[order], starts, axis=-1)
    won = (sick * (well.cumsum(axis=-1) - well / 2)).sum(axis=-1)
    pairs = sick.sum(axis=-1) * well.sum(axis=-1)
    return _ratio(won, pairs)


def auroc_scores(
    findings: Sequence[str], probabilities: Floats, labels: Floats, *, draws: int, seed: int, derived: str = ""
) -> tuple[Score, ...]:
    """The mean over the findings with enough studies, where there are any, and the area of each that has one.

    Args:
        findings: F names.
        probabilities: [S,F] 0..1.
        labels: [S,F], 1, 0, or NaN where nothing is known.
        draws: bootstrap resamplings of the studies; 0 for no intervals.
        derived: the finding that follows from the others, which has no place in the mean.
    """
    values = _areas(probabilities, labels, np.ones(len(labels)))  # [F]
    drawn = _draw(probabilities, labels, draws, seed)  # [draws,F]
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
    """The mean area of two heads on the same studies; None where no finding has enough of them.

    Args:
        findings: F names.
        first, second: [S,F] probabilities of each.
        labels: [S,F], 1, 0, or NaN where nothing is known.
        derived: the finding that follows from the others, which has no place in the mean.
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
        by_chance=_swapped(first, second, labels, draws, seed)[:, None],
    )
    return difference


def _averaged(findings: Sequence[str], labels: Floats, derived: str) -> list[int]:
    """Columns of labels [S,F] that have a place in the mean."""
    return [column for column in _enough(labels) if findings[column] != derived]


def _enough(labels: Floats) -> list[int]:
    """Columns of labels [S,F] with so many positive and negative studies that the area is worth an interval."""
    rarer = np.minimum(np.nansum(labels, axis=0), np.nansum(1 - labels, axis=0))
    return np.flatnonzero(rarer >= FEWEST).tolist()


def _mean_name(findings: int) -> str:
    """The name of the mean over so many findings."""
    return f"{MEAN}, {findings} findings"


def _areas(probabilities: Floats, labels: Floats, weights: Floats) -> Floats:
    """[...,F] for weights [...,S]; NaN for a finding without positive or negative studies."""
    areas = np.full((*weights.shape[:-1], labels.shape[1]), np.nan)
    for column, (chances, truth) in enumerate(zip(probabilities.T, labels.T, strict=True)):
        known = np.isfinite(truth)
        if known.any():
            areas[..., column] = auroc(chances[known], truth[known] > 0, weights[..., known])
    return areas


def _draw(probabilities: Floats, labels: Floats, draws: int, seed: int) -> Floats:
    """[draws,F]: the areas on resampled studies."""
    blocks = [_areas(probabilities, labels, weights) for weights in resamplings(len(labels), draws, seed)]
    return np.concatenate([np.empty((0, labels.shape[1])), *blocks])


def _swapped(first: Floats, second: Floats, labels: Floats, draws: int, seed: int) -> Floats:
    """[draws]: the difference of the means after each study's answers changed sides with probability one half.

    Both heads' answers lie in one pool, from which each side takes one a study.
    """
    pool, truth = np.concatenate([first, second]), np.concatenate([labels, labels])
    found = []
    for moved in swaps(len(labels), draws, seed):
        takes = np.concatenate([1 - moved, moved], axis=1)  # [b,2S]
        found.append(_mean(_areas(pool, truth, 1 - takes)) - _mean(_areas(pool, truth, takes)))
    return np.concatenate(found)


def _mean(areas: Floats) -> Floats:
    """[...] of [...,F], over the findings that have one in the draw; NaN for none."""
    known = np.isfinite(areas)
    return _ratio(np.where(known, areas, 0.0).sum(axis=-1), known.sum(axis=-1))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """numerator / denominator, and NaN where the denominator is 0."""
    found: Floats = np.full(np.shape(numerator), np.nan)
    np.divide(numerator, denominator, out=found, where=denominator > 0)
    return found


def _interval(drawn: Floats) -> tuple[float, float] | None:
    """Over draws [draws] that have both kinds of studies."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return None
    low, high = intervals(drawn)
    return float(low), float(high)
