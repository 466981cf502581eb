"""Targets of the finding head from the labels of a corpus, hard ones and those of another model."""

from __future__ import annotations

from functools import partial

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

_BLOCK = 10_000


def read_targets(dataset: Dataset, share: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Labels [S,F] of the studies of a corpus, and targets [S,F] 0..1: labels, with a share of soft ones.

    Both are NaN where nothing is known.
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


def _blend(
    hard: NDArray[np.float32], soft: NDArray[np.float32], train: NDArray[np.bool_], share: float
) -> NDArray[np.float32]:
    """Hard labels [S,F] with a share of soft ones mixed in.

    The soft labels' logits are shifted a finding at a time until their mean over the training studies is that of the
    hard ones: the other model learned from a population in which the findings are rarer or commoner.
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
