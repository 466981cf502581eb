"""Compute the targets of the finding head from the labels of a corpus and the soft labels of another model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from report_gen.records import FindingSchema

_LARGEST_SHIFT = 40.0
"""Largest change of a logit; with it, a probability is 0 or 1 in float32."""
MIN_LABELS = 3
"""Positive and negative labels that a calibration needs."""

Floats = NDArray[np.float64]


class Labels(NamedTuple):
    """What is known about the F findings of the S studies of a corpus."""

    hard: NDArray[np.float32]
    """[S,F] labels of the corpus: 1 or 0, NaN if unknown."""
    soft: NDArray[np.float32]
    """[S,F] probabilities of another model, NaN if unknown."""
    adjudicated: NDArray[np.bool_]
    """[S,F] whether readers agreed on the label."""


def read_labels(dataset: Dataset, schema: FindingSchema) -> Labels:
    """Read the labels of a corpus, which was read with this schema of F findings."""
    columns = dataset.select_columns(["labels", "soft_labels", "adjudicated_findings"]).with_format("arrow")[:]
    hard, soft = (
        columns[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        for name in ("labels", "soft_labels")
    )
    shape = len(dataset), len(schema.findings)
    adjudicated = np.zeros(shape, dtype=np.bool_)
    for study, names in enumerate(columns["adjudicated_findings"].to_pylist()):
        for name in names:
            adjudicated[study, schema.index(name)] = True
    return Labels(hard.reshape(shape), soft.reshape(shape), adjudicated)


def replace_soft_labels(
    labels: Labels, dataset: Dataset, teacher: Mapping[str, NDArray[np.float32]], train: NDArray[np.bool_]
) -> Labels:
    """Return the labels with the soft labels of a teacher in the training split.

    Validation and test studies keep their soft labels: mixed with the predictions of the teacher, they would measure
    how much a model resembles it.

    Args:
        labels: The labels of the corpus.
        dataset: The corpus.
        teacher: Probabilities [F] by the stem of an image name. A study gets the mean over its images.
        train: [S] whether a study is training data.
    """
    soft = labels.soft.copy()
    for study, images in enumerate(dataset["images"]):
        known = [teacher[stem] for image in images if (stem := Path(image).stem) in teacher] if train[study] else []
        if known:
            means = np.mean(known, axis=0)
            soft[study] = np.where(np.isnan(means), soft[study], means)
    return labels._replace(soft=soft)


def mix_targets(labels: Labels, train: NDArray[np.bool_], *, share: float, smoothing: float) -> NDArray[np.float32]:
    """Return targets [S,F] of the finding head, 0..1: smoothed labels mixed with soft labels; NaN if unknown.

    Both changes keep the mean of a finding over the training studies. Adjudicated labels stay as they are.

    Args:
        labels: The labels of a corpus.
        train: [S] whether a study is training data. Labels of other studies are not smoothed.
        share: Weight of the soft labels, 0..1.
        smoothing: Share of a label that is replaced by the prevalence of the finding.
    """
    smoothed = labels.hard.copy()
    for finding in range(smoothed.shape[1]):
        column = labels.hard[:, finding]
        known = train & ~np.isnan(column)
        if smoothing and known.any():
            changed = known & ~labels.adjudicated[:, finding]
            smoothed[changed, finding] = (1 - smoothing) * column[changed] + smoothing * column[known].mean()
    soft = np.where(labels.adjudicated, np.nan, labels.soft)
    return _blend(smoothed, soft, train, share)


def _blend(
    hard: NDArray[np.float32], soft: NDArray[np.float32], train: NDArray[np.bool_], share: float
) -> NDArray[np.float32]:
    """Mix soft labels into hard labels [S,F].

    Per finding, the logits of the soft labels are shifted until their mean over the training studies equals that of
    the hard labels: the other model was trained on a population with another prevalence.
    """
    blended = hard.copy()
    for finding in range(hard.shape[1]):
        both = ~np.isnan(hard[:, finding]) & ~np.isnan(soft[:, finding])
        if share and (both & train).any():
            logits = logit(np.clip(soft[:, finding], 1e-4, 1 - 1e-4))
            shift = _shift(logits[both & train], float(hard[both & train, finding].mean()))
            blended[both, finding] = (1 - share) * hard[both, finding] + share * expit(logits[both] + shift)
    return blended


def _shift(logits: NDArray[np.float32], prevalence: float) -> float:
    """Return the number to add to logits so that the mean of their probabilities is the prevalence."""
    if not 0 < prevalence < 1:
        return _LARGEST_SHIFT * (1 if prevalence else -1)
    return float(brentq(partial(_excess, logits, prevalence), -_LARGEST_SHIFT, _LARGEST_SHIFT))


def _excess(logits: NDArray[np.float32], prevalence: float, shift: float) -> float:
    return float(expit(logits + shift).mean() - prevalence)
