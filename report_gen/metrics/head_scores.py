"""The finding head against the labels of a corpus: does it rank right, and do its probabilities mean what they say?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen import __version__
from report_gen.metrics.auroc import auroc_scores, compare_mean_auroc
from report_gen.metrics.calibration import ALL, Bin, calibration_measures, error_by_chance, reliability
from report_gen.metrics.measure import Floats
from report_gen.metrics.score import Score, scores_of
from report_gen.metrics.significance import Difference


@dataclass(frozen=True, kw_only=True)
class Support:
    """Studies that the corpus labels, and of which the head was asked."""

    studies: int
    positive: int


@dataclass(frozen=True, kw_only=True)
class HeadRun:
    """What the probabilities from own images are worth."""

    scores: tuple[Score, ...]
    """AUROC, mean first, then calibration error and Brier scores, each of all findings first."""
    support: Mapping[str, Support]
    """By finding: those that the head was taught and the corpus labels."""
    image_use: Mapping[str, Difference]
    """The mean AUROC from own images minus that from what the head was shown instead, by the name of that."""
    reliability: Mapping[str, tuple[Bin, ...]]
    """Bins of all findings in one pool, and of each."""
    error_by_chance: Mapping[str, float]
    """The calibration error that right probabilities would have on so many studies, of all findings and of each."""
    probabilities: Mapping[str, Mapping[str, float]]
    """0..1 by study and finding."""

    def __getitem__(self, name: str) -> Score:
        return next(score for score in self.scores if score.name == name)


def score_head(
    ids: Sequence[str],
    findings: Sequence[str],
    *,
    own: Floats,
    controls: Mapping[str, Floats],
    labels: Floats,
    draws: int,
    seed: int,
    derived: str = "",
) -> HeadRun | None:
    """Every figure of the head; None where no label meets an answer.

    Args:
        ids: of S studies.
        findings: F names.
        own: [S,F] probabilities from own images, NaN where the head was not asked or never taught.
        controls: the same from other images, by the name of these.
        labels: [S,F], 1, 0, or NaN where nothing is known.
        draws: bootstrap resamplings of the studies; 0 for no intervals.
        derived: the finding that follows from the others, which has no place in the mean AUROC.
    """
    answered = np.all([np.isfinite(side) for side in (own, *controls.values())], axis=0)
    labels = np.where(answered, labels, np.nan)
    columns: list[int] = np.flatnonzero(np.isfinite(labels).any(axis=0)).tolist()
    if not columns:
        return None
    names = [findings[column] for column in columns]
    own, labels = own[:, columns], labels[:, columns]
    compared = {
        control: compare_mean_auroc(names, side[:, columns], own, labels, draws=draws, seed=seed, derived=derived)
        for control, side in controls.items()
    }
    pools = {ALL: (own, labels)} | {name: (own[:, [c]], labels[:, [c]]) for c, name in enumerate(names)}
    return HeadRun(
        scores=(
            *auroc_scores(names, own, labels, draws=draws, seed=seed, derived=derived),
            *scores_of(calibration_measures(names, own, labels), f"version:{__version__}", draws=draws, seed=seed),
        ),
        support={
            name: Support(studies=int(np.isfinite(column).sum()), positive=int(np.nansum(column)))
            for name, column in zip(names, labels.T, strict=True)
        },
        image_use={control: difference for control, difference in compared.items() if difference is not None},
        reliability={name: reliability(*pool) for name, pool in pools.items()},
        error_by_chance={name: error_by_chance(*pool, seed) for name, pool in pools.items()},
        probabilities=_tell(ids, names, np.where(np.isfinite(labels), own, np.nan)),
    )


def _tell(ids: Sequence[str], findings: Sequence[str], probabilities: Floats) -> dict[str, dict[str, float]]:
    return {
        name: {finding: value for finding, value in zip(findings, row, strict=True) if np.isfinite(value)}
        for name, row in zip(ids, probabilities.tolist(), strict=True)
    }
