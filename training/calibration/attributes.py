"""Choose from which probability on a draft may name an attribute (modality, plane, body part).

The accuracy that a recipe demands is a promise for other patients, and the studies from which a threshold is chosen are
few. Therefore the lower confidence bound of the accuracy counts, not the accuracy itself (Wilson, J Am Stat Assoc
1927). Three things that an accuracy over studies leaves out are part of it:

- Studies of one patient resemble each other, so all of them together weigh as much as one study of another patient.
- Nobody knows how frequent each value will be, so every true value weighs the same. Otherwise a collection of heads,
  which are easy, would permit to name an abdomen.
- The bound is computed for the effective number of patients, (sum of weights)^2 / sum of squared weights (Kish, Survey
  Sampling, 1965).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.config import AttributeConfig
from report_gen.model import ReportModel
from report_gen.records import AttributeName

from ..data import Batch, Floats

QUANTILE = 1.6448536269514722
"""Quantile of the normal distribution for a one-sided bound of 95%."""


@torch.inference_mode()
def tune_attributes(
    model: ReportModel,
    batches: Iterable[Batch],
    *,
    patients: Sequence[str],
    accuracies: Mapping[AttributeName, float],
    thresholds: Mapping[AttributeName, float],
) -> tuple[AttributeConfig, ...]:
    """Return the attributes with their thresholds: given ones, or fitted to validation studies with images.

    Args:
        model: The trained model.
        batches: Batches of S studies.
        patients: Patient of each of the S studies.
        accuracies: Share of the values with at least the threshold that must be right, by attribute.
        thresholds: Given thresholds by attribute. An attribute in neither mapping has the threshold 0.
    """
    model.eval()
    attributes = model.config.attributes
    certainties = [[np.zeros(0)] for _ in attributes]
    chosen = [[np.zeros(0, dtype=np.int64)] for _ in attributes]
    targets = [[np.zeros(0, dtype=np.int64)] for _ in attributes]
    for batch in batches if accuracies else ():
        visual = model.encode_images(*batch.image_inputs)
        for index, logits in enumerate(visual.attribute_logits):
            probabilities, values = logits.double().softmax(-1).max(-1)
            certainties[index].append(probabilities.cpu().numpy())
            chosen[index].append(values.cpu().numpy() + 1)
            targets[index].append(batch.attribute_targets[:, index].cpu().numpy())
    fitted = dict(thresholds)
    for index, attribute in enumerate(attributes):
        if attribute.name in accuracies:
            fitted[attribute.name] = fit_threshold(
                np.concatenate(certainties[index]),
                np.concatenate(chosen[index]),
                np.concatenate(targets[index]),
                patients=patients,
                accuracy=accuracies[attribute.name],
            )
    return tuple(one.model_copy(update={"threshold": fitted.get(one.name, 0.0)}) for one in attributes)


def fit_threshold(
    certainties: Floats,
    chosen: NDArray[np.int64],
    targets: NDArray[np.int64],
    *,
    patients: Sequence[str],
    accuracy: float,
) -> float:
    """Return the lowest probability from which on the lower bound of the share of right values is as high as demanded.

    The threshold is 0 if all values together are accurate enough, and 1 if no share of them is, as without studies.

    Args:
        certainties: [S] probability of the most probable value, 0..1.
        chosen: [S] the most probable value, from 1.
        targets: [S] the right value, from 1; 0 if it is unknown.
        patients: [S] patient of each study.
        accuracy: Demanded lower bound of the share of right values among those with at least the returned probability.
    """
    known = np.flatnonzero(targets > 0)
    order = known[np.argsort(-certainties[known], kind="stable")]
    if not len(order):
        return 1.0
    names = [patients[index] for index in order]
    weights = _weights(names, targets[order])
    shares = (weights * (chosen[order] == targets[order])).cumsum() / weights.cumsum()
    bounds = lower_bound(shares, _effective_patients(weights, names))
    is_last = np.diff(certainties[order], append=-1.0) < 0  # equal probabilities are stated together
    accurate = np.flatnonzero(is_last & (bounds >= accuracy))
    if not len(accurate):
        return 1.0
    return 0.0 if accurate[-1] == len(order) - 1 else float(certainties[order][accurate[-1]])


def lower_bound(shares: Floats, counts: Floats) -> Floats:
    """Return the lower limits of the one-sided Wilson interval at 95% for shares [N] among counts [N], 0..1."""
    square = QUANTILE**2 / counts
    spread = np.sqrt(shares.clip(0, 1) * (1 - shares).clip(0, 1) * square + square**2 / 4)
    bounds: Floats = (shares + square / 2 - spread) / (1 + square)
    return bounds


def _weights(patients: Sequence[str], targets: NDArray[np.int64]) -> Floats:
    """Return weights [S] with which the studies of a patient count like one study, and every true value the same."""
    _, patient, sizes = np.unique(patients, return_inverse=True, return_counts=True)
    weights = 1 / sizes[patient]
    totals = np.bincount(targets, weights=weights)
    return weights / totals[targets]


def _effective_patients(weights: Floats, patients: Sequence[str]) -> Floats:
    """Return [S] the effective number of patients among the first 1, 2, ... S studies."""
    sums: dict[str, float] = defaultdict(float)
    squares = np.zeros(len(weights))
    for index, (patient, weight) in enumerate(zip(patients, weights, strict=True)):
        squares[index] = (sums[patient] + weight) ** 2 - sums[patient] ** 2
        sums[patient] += weight
    effective: Floats = weights.cumsum() ** 2 / squares.cumsum()
    return effective
