"""The loss of a step is one mean over all its tokens and targets, however they are cut into batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from report_gen_training.data.batches import Batch
from report_gen_training.engine.train_step import Losses, Weights, loss_alone, mean, scale_loss, train_step
from report_gen_training.optimization.objectives import IGNORED
from report_gen_training.recipe.schema import StageRecipe

from report_gen.model import ReportModel
from tests.builders import SIZE, tiny_config, tiny_model

STAGE = StageRecipe.model_validate(
    {
        "name": "s",
        "corpora": ("c",),
        "steps": 1,
        "rates": {},
        "finding_weight": 0.5,
        "attribute_weight": 0.3,
        "label_smoothing": 0.1,
    }
)


@pytest.fixture(scope="module")
def model() -> ReportModel:
    attributes = [{"name": "modality", "values": ["CT", "MR"]}, {"name": "plane", "values": ["a", "b", "c"]}]
    return tiny_model(tiny_config(attributes=attributes))


@pytest.fixture(scope="module")
def whole() -> Batch:
    """Four studies whose reports have 2, 4, 6 and 8 tokens, some of them weighing double; some targets are unknown."""
    random = torch.Generator().manual_seed(0)
    length, starts, ends = 12, 3, torch.tensor([5, 7, 9, 11])[:, None]
    places = torch.arange(length)
    ids = torch.randint(4, 100, (4, length), generator=random)
    told = (places >= starts) & (places < ends)
    targets = torch.randint(0, 2, (4, 17), generator=random).float()
    targets[1] = torch.nan
    targets[2, 3:] = torch.nan
    return Batch(
        pixel_values=torch.randn(4, 1, 1, SIZE, SIZE, generator=random),
        view_positions=torch.zeros(4, 1, dtype=torch.long),
        view_mask=torch.ones(4, 1, dtype=torch.bool),
        input_ids=ids,
        attention_mask=(places < ends).long(),
        labels=ids.masked_fill(~told, IGNORED),
        finding_states=torch.zeros(4, 17, dtype=torch.long),
        finding_targets=targets,
        attribute_values=torch.zeros(4, 2, dtype=torch.long),
        attribute_targets=torch.tensor([[1, 2], [2, 0], [0, 0], [1, 3]]),
        token_weights=torch.where(told & (places % 2 == 0), 2.0, 1.0) * told,
        patch_features=torch.empty(4, 0, 0, 0),
        references=("",) * 4,
        study_ids=("",) * 4,
    )


def rows(batch: Batch, *chosen: int) -> Batch:
    return Batch(*(field[list(chosen)] if isinstance(field, torch.Tensor) else field[: len(chosen)] for field in batch))


def gradient(model: ReportModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("cuts", [[(0, 1, 2, 3)], [(0,), (1, 2, 3)], [(3,), (2,), (1,), (0,)]])
def test_parts_add_up_to_the_whole(model: ReportModel, whole: Batch, cuts: list[Any]) -> None:
    parts = [rows(whole, *cut) for cut in cuts]
    weights = [Weights.of(part) for part in parts]
    totals = Weights(*map(sum, zip(*weights, strict=True)))
    assert totals == Weights.of(whole) == (20.0, 30.0, 37.0, 5.0)
    losses = [train_step(model, part, STAGE) for part in parts]
    pairs = list(zip(losses, weights, strict=True))
    together = torch.stack([scale_loss(loss, weight, totals, STAGE) for loss, weight in pairs]).sum()
    expected = loss_alone(model, whole, STAGE)
    assert together.item() == pytest.approx(expected.item(), rel=1e-5)
    sums = np.sum([loss.sums(weight) for loss, weight in pairs], axis=0).tolist()
    loss, report, finding, attribute = mean(sums, totals, STAGE)
    assert report is not None
    assert finding is not None
    assert attribute is not None
    assert loss == pytest.approx(expected.item(), rel=1e-5) == report + 0.5 * finding + 0.3 * attribute
    wanted = gradient(model, expected)
    for name, part in gradient(model, together).items():
        torch.testing.assert_close(part, wanted[name], atol=1e-5, rtol=1e-4, msg=name)


def test_what_a_batch_has_not_weighs_nothing(model: ReportModel, whole: Batch) -> None:
    silent = whole._replace(
        input_ids=whole.input_ids[:, :0],
        attention_mask=whole.attention_mask[:, :0],
        labels=whole.labels[:, :0],
        token_weights=whole.token_weights[:, :0],
    )
    blind = whole._replace(
        pixel_values=whole.pixel_values[:, :0],
        view_positions=whole.view_positions[:, :0],
        view_mask=whole.view_mask[:, :0],
    )
    assert Weights.of(silent) == (0.0, 0.0, 37.0, 5.0)
    assert Weights.of(blind) == (20.0, 30.0, 0.0, 0.0)
    assert train_step(model, silent, STAGE).report is None
    assert train_step(model, blind, STAGE).finding is None
    assert train_step(model, blind, STAGE).attribute is None
    assert mean([6.0, 0.0, 0.0, 0.0], Weights.of(blind), STAGE) == (0.2, 0.2, None, None)


def test_a_token_counts_alike_in_steps_of_short_and_of_long_reports() -> None:
    """With 40 tokens a step on average, one of 80 moves the weights twice as far as its mean loss says."""
    losses = Losses(report=torch.tensor(3.0), finding=None, critical=None, finding_logits=None)
    for tokens, factor in ((20, 0.5), (40, 1.0), (80, 2.0)):
        weights = Weights(tokens=tokens, weighted=tokens)
        assert float(scale_loss(losses, weights, weights, STAGE, usual_tokens=40)) == pytest.approx(3.0 * factor)
