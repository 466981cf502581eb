"""Choose from which probability on a draft may name an attribute (modality, plane, body part)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.config import AttributeConfig
from report_gen.model import ReportModel
from report_gen.records import AttributeName

from ..data import Batch, Floats


@torch.inference_mode()
def tune_attributes(
    model: ReportModel, batches: Iterable[Batch], *, accuracies: Mapping[AttributeName, float]
) -> tuple[AttributeConfig, ...]:
    """Fit the threshold of each attribute for which an accuracy is demanded to validation studies with images.

    Args:
        model: The trained model.
        batches: Batches of S studies.
        accuracies: Share of the values with at least the threshold that must be right, by attribute; the threshold of
            others is 0.
    """
    model.eval()
    attributes = model.config.attributes
    certainties = [[np.zeros(0)] for _ in attributes]
    hits = [[np.zeros(0, dtype=bool)] for _ in attributes]
    for batch in batches if accuracies else ():
        visual = model.encode_images(*batch.image_inputs)
        for index, logits in enumerate(visual.attribute_logits):
            targets = batch.attribute_targets[:, index]
            probabilities, chosen = logits.double().softmax(-1)[targets > 0].max(-1)
            certainties[index].append(probabilities.cpu().numpy())
            hits[index].append((chosen + 1 == targets[targets > 0]).cpu().numpy())
    return tuple(
        attribute.model_copy(
            update={
                "threshold": fit_threshold(
                    np.concatenate(certainties[index]),
                    np.concatenate(hits[index]),
                    accuracy=accuracies.get(attribute.name, 0.0),
                )
            }
        )
        for index, attribute in enumerate(attributes)
    )


def fit_threshold(certainties: Floats, hits: NDArray[np.bool_], *, accuracy: float) -> float:
    """Return the lowest probability from which on values are right as often as demanded; 0 if all together are.

    Args:
        certainties: [S] probability of the most probable value, 0..1.
        hits: [S] whether it is the right one.
        accuracy: Share of right values among those with at least the returned probability. If no share of them is as
            accurate, the threshold is 1.
    """
    if not len(hits) or hits.mean() >= accuracy:
        return 0.0
    order = np.argsort(-certainties, kind="stable")
    shares = hits[order].cumsum() / np.arange(1, len(hits) + 1)
    is_last = np.diff(certainties[order], append=-1.0) < 0  # equal probabilities are stated together
    accurate = np.flatnonzero(is_last & (shares >= accuracy))
    return float(certainties[order][accurate[-1]]) if len(accurate) else 1.0
