"""Score the probabilities of the finding head against the labels of a corpus: AUROC, calibration, use of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen import __version__
from report_gen.metrics.auroc import auroc_scores, compare_mean_auroc
from report_gen.metrics.calibration import ALL_FINDINGS, Bin, calibration_measures, error_by_chance, reliability
from report_gen.metrics.measure import Floats
from report_gen.metrics.score import Score, scores_of
from report_gen.metrics.significance import Difference


@dataclass(frozen=True, kw_only=True)
class LabelSupport:
    """Number of studies with a label and a probability of one finding."""

    studies: int
    positive: int


@dataclass(frozen=True, kw_only=True)
class HeadRun:
    """Scores of the finding head with the studies' own images."""

    scores: tuple[Score, ...]
    """AUROC, the mean first, then calibration error and Brier scores, each of all findings first."""
    support: Mapping[str, LabelSupport]
    """By finding, for the findings that the head was trained on and the corpus labels."""
    image_use: Mapping[str, Difference]
    """Mean AUROC with own images minus that with control images, by the control's name."""
    reliability: Mapping[str, tuple[Bin, ...]]
    """Bins of all findings in one pool, and of each finding."""
    error_by_chance: Mapping[str, float]
    """Calibration error that correct probabilities would have on as many studies, of all findings and of each."""
    probabilities: Mapping[str, Mapping[str, float]]
    """Probabilities, 0 to 1, by study and finding."""

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
    """Compute every score of the finding head.

    Args:
        ids: Ids of the S studies.
        findings: Names of the F findings.
        own: [S, F], probabilities from the studies' own images, NaN where there is none.
        controls: The same from control images, by the control's name.
        labels: [S, F], 1, 0, or NaN where unknown.
        draws: Bootstrap resamplings of the studies; 0 for no intervals.
        seed: Seed of the bootstrap.
        derived: The finding that follows from the others; the mean AUROC leaves it out.

    Returns:
        None if no study has both a label and a probability of the same finding.
    """
    predicted = np.all([np.isfinite(side) for side in (own, *controls.values())], axis=0)
    labels = np.where(predicted, labels, np.nan)
    columns: list[int] = np.flatnonzero(np.isfinite(labels).any(axis=0)).tolist()
    if not columns:
        return None
    names = [findings[column] for column in columns]
    own, labels = own[:, columns], labels[:, columns]
    compared = {
        control: compare_mean_auroc(names, side[:, columns], own, labels, draws=draws, seed=seed, derived=derived)
        for control, side in controls.items()
    }
    pools = {ALL_FINDINGS: (own, labels)} | {name: (own[:, [c]], labels[:, [c]]) for c, name in enumerate(names)}
    return HeadRun(
        scores=(
            *auroc_scores(names, own, labels, draws=draws, seed=seed, derived=derived),
            *scores_of(calibration_measures(names, own, labels), f"version:{__version__}", draws=draws, seed=seed),
        ),
        support={
            name: LabelSupport(studies=int(np.isfinite(column).sum()), positive=int(np.nansum(column)))
            for name, column in zip(names, labels.T, strict=True)
        },
        image_use={control: difference for control, difference in compared.items() if difference is not None},
        reliability={name: reliability(*pool) for name, pool in pools.items()},
        error_by_chance={name: error_by_chance(*pool, seed) for name, pool in pools.items()},
        probabilities=_by_study(ids, names, np.where(np.isfinite(labels), own, np.nan)),
    )


def _by_study(ids: Sequence[str], findings: Sequence[str], probabilities: Floats) -> dict[str, dict[str, float]]:
    """Convert probabilities [S, F] to a mapping by study and finding, without NaN."""
    return {
        name: {finding: value for finding, value in zip(findings, row, strict=True) if np.isfinite(value)}
        for name, row in zip(ids, probabilities.tolist(), strict=True)
    }
