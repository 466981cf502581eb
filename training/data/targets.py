"""Compute the targets of the finding head from the labels of a corpus and the soft labels of another model."""

from __future__ import annotations

from functools import partial

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

_BLOCK = 10_000
MIN_LABELS = 3
"""Positive and negative studies needed to estimate a prevalence or a threshold of a finding."""

Floats = NDArray[np.float64]


def read_targets(dataset: Dataset, share: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the labels [S,F] of a corpus, and targets [S,F] in 0..1 that mix in soft labels.

    Args:
        share: Weight of the soft labels, 0..1.

    Returns:
        Labels and targets, both NaN where nothing is known.
    """
    hard: list[NDArray[np.float32]] = []
    soft: list[NDArray[np.float32]] = []
    train: list[NDArray[np.bool_]] = []
    for block in dataset.select_columns(["labels", "soft_labels", "split"]).with_format("arrow").iter(_BLOCK):
        for column, gathered in (("labels", hard), ("soft_labels", soft)):
            values = block[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            gathered.append(values.astype(np.float32).reshape(len(block), -1))
        train.append(block["split"].to_numpy() == "train")
    labels = np.concatenate(hard)
    return labels, _blend(labels, np.concatenate(soft), np.concatenate(train), share)


def has_enough_labels(targets: Floats) -> bool:
    """Return whether targets [S] (NaN if unknown) hold MIN_LABELS positive and MIN_LABELS negative studies."""
    known = targets[~np.isnan(targets)]
    return bool(min(known.sum(), (1 - known).sum()) >= MIN_LABELS)


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
            prevalence, sample = hard[both & train, finding].mean(), logits[both & train]
            shift = brentq(partial(_excess, sample, prevalence), -20, 20)
            blended[both, finding] = (1 - share) * hard[both, finding] + share * expit(logits[both] + shift)
    return blended


def _excess(logits: NDArray[np.float32], prevalence: float, shift: float) -> float:
    return float(expit(logits + shift).mean() - prevalence)
