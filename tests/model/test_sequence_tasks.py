"""Models with a sequence encoder learn what only the order of the images or the time between them shows.

Each test draws studies, trains the sequence encoder and the projector of a tiny model on a random image encoder in
seconds, and classifies other studies. A model that treats the images as a set is right in half of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from report_gen.config import VIEWS
from report_gen.labeling import chest_xray
from report_gen.model import ReportModel
from report_gen.records import ViewPosition
from tests.builders import tiny_config
from tests.drawn_sequences import DrawnStudies, Pair, draw_arrival, draw_course, draw_growth, draw_studies

FINDING = chest_xray().index("Lung Lesion")
STEPS, STUDIES, RATE = 200, 32, 3e-3


def finding_logits(model: ReportModel, studies: DrawnStudies, patch_features: torch.Tensor) -> torch.Tensor:
    """Return the logits [S] of the finding."""
    mask = torch.ones(patch_features.shape[:2], dtype=torch.bool)  # [S,V]
    views = torch.full(mask.shape, VIEWS.index(ViewPosition.UNKNOWN))
    visual = model.encode_images(studies.pixel_values, views, mask, patch_features, studies.view_offsets)
    return visual.finding_logits[:, FINDING]


@torch.no_grad()
def encode(model: ReportModel, studies: DrawnStudies) -> torch.Tensor:
    """Return the patch features [S,V,N,D_img] of the frozen image encoder."""
    return model.encoder(studies.pixel_values.flatten(0, 1)).unflatten(0, studies.pixel_values.shape[:2])


def held_out_accuracy(draw_pair: Callable[[np.random.Generator], Pair], kind: str | None) -> float:
    """Train a model on 400 studies, and return the share of 200 others that it classifies correctly."""
    torch.manual_seed(0)
    sequence = None if kind is None else {"kind": kind, "width": 32, "layers": 1, "heads": 2, "dropout": 0.0}
    config = tiny_config(sequence=sequence, projector={"patch_tokens": 0, "hidden": 8, "dropout": 0.0})
    model = ReportModel(config).eval()
    training, others = (draw_studies(draw_pair, pairs=pairs, seed=seed) for pairs, seed in ((200, 1), (100, 2)))
    patch_features = encode(model, training)
    trained = [one for name, one in model.named_parameters() if name.startswith(("sequence.", "projector."))]
    optimizer = torch.optim.AdamW(trained, RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    generator = torch.Generator().manual_seed(3)
    for _ in range(STEPS):
        rows = torch.randint(len(training.targets), (STUDIES,), generator=generator)
        logits = finding_logits(model, training[rows], patch_features[rows])
        F.binary_cross_entropy_with_logits(logits, training.targets[rows]).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    with torch.no_grad():
        found = finding_logits(model, others, encode(model, others)) > 0
    return float((found == others.targets.bool()).double().mean())


@pytest.mark.parametrize("kind", ["recurrent", "attention"])
@pytest.mark.parametrize("draw_pair", [draw_growth, draw_arrival, draw_course])
def test_a_sequence_encoder_learns_order_and_time(draw_pair: Callable[[np.random.Generator], Pair], kind: str) -> None:
    assert held_out_accuracy(draw_pair, kind) >= 0.95


@pytest.mark.parametrize("kind", [None, "mean"])
@pytest.mark.parametrize("draw_pair", [draw_growth, draw_arrival, draw_course])
def test_a_set_of_images_shows_neither_order_nor_time(
    draw_pair: Callable[[np.random.Generator], Pair], kind: str | None
) -> None:
    assert 0.4 <= held_out_accuracy(draw_pair, kind) <= 0.6
