"""The loss of a step is one mean over all its tokens, targets and values, however they are split into batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from report_gen_training.data.batches import IGNORED, Batch
from report_gen_training.engine.train_step import LossCounts, Losses, MeanLosses, mean_losses, train_step
from report_gen_training.optimization.objectives import report_loss
from report_gen_training.optimization.scst import Sampled
from report_gen_training.recipe.schema import StageRecipe

from report_gen.model import ReportModel
from tests.builders import SIZE, tiny_config, tiny_model

INPUTS = (
    "pixel_values",
    "view_positions",
    "view_mask",
    "input_ids",
    "attention_mask",
    "finding_states",
    "patch_features",
    "attribute_values",
    "finding_locations",
    "view_offsets",
)

STAGE = StageRecipe.model_validate(
    {
        "name": "s",
        "corpora": ("c",),
        "steps": 1,
        "rates": {},
        "finding_weight": 0.5,
        "attribute_weight": 0.3,
        "location_weight": 0.2,
        "label_smoothing": 0.1,
    }
)


@pytest.fixture(scope="module")
def model() -> ReportModel:
    attributes = [{"name": "modality", "values": ["CT", "MR"]}, {"name": "plane", "values": ["a", "b", "c"]}]
    return tiny_model(tiny_config(attributes=attributes, locations={"trained": (True,) * 17}))


@pytest.fixture(scope="module")
def whole() -> Batch:
    """Four studies whose reports have 2, 4, 6 and 8 tokens, some with double weight; some targets are unknown."""
    random = torch.Generator().manual_seed(0)
    length, starts, ends = 12, 3, torch.tensor([5, 7, 9, 11])[:, None]
    positions = torch.arange(length)
    ids = torch.randint(4, 100, (4, length), generator=random)
    labeled = (positions >= starts) & (positions < ends)
    targets = torch.randint(0, 2, (4, 17), generator=random).float()
    targets[1] = torch.nan
    targets[2, 3:] = torch.nan
    places = torch.randint(0, 2, (4, 17, 5), generator=random).float()
    places[:, 4:] = torch.nan
    boxes = torch.full((4, 1, 17, 1, 4), torch.nan)
    boxes[:3, 0, 2, 0] = torch.tensor([0.1, 0.2, 0.6, 0.9])
    return Batch(
        pixel_values=torch.randn(4, 1, 1, SIZE, SIZE, generator=random),
        view_positions=torch.zeros(4, 1, dtype=torch.long),
        view_mask=torch.ones(4, 1, dtype=torch.bool),
        view_offsets=torch.full((4, 1, 3), torch.nan),
        input_ids=ids,
        attention_mask=(positions < ends).long(),
        labels=ids.masked_fill(~labeled, IGNORED),
        finding_states=torch.zeros(4, 17, dtype=torch.long),
        finding_locations=torch.zeros(4, 17, 5),
        finding_targets=targets,
        attribute_values=torch.zeros(4, 2, dtype=torch.long),
        attribute_targets=torch.tensor([[1, 2], [2, 0], [0, 0], [1, 3]]),
        token_weights=torch.where(labeled & (positions % 2 == 0), 2.0, 1.0) * labeled,
        patch_features=torch.empty(4, 0, 0, 0),
        boxes=boxes,
        location_targets=places,
        sample_weights=torch.tensor([1.0, 0.5, 2.0, 1.0]),
        references=("",) * 4,
        study_ids=("",) * 4,
    )


def rows(batch: Batch, *chosen: int) -> Batch:
    return Batch(*(field[list(chosen)] if isinstance(field, torch.Tensor) else field[: len(chosen)] for field in batch))


def gradient(model: ReportModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def weighted_sum(losses: Losses | MeanLosses) -> Any:
    """Return the sum of the losses with the weights of STAGE; all of them are given."""
    parts = (losses.report, losses.finding, losses.attribute, losses.location, losses.attention)
    return sum(weight * part for weight, part in zip((1, 0.5, 0.3, 0.2, 0.2), parts, strict=True) if part is not None)


@pytest.mark.parametrize("cuts", [[(0, 1, 2, 3)], [(0,), (1, 2, 3)], [(3,), (2,), (1,), (0,)]])
def test_the_losses_of_batches_add_up_to_the_loss_of_the_step(
    model: ReportModel, whole: Batch, cuts: list[Any]
) -> None:
    batches = [rows(whole, *cut) for cut in cuts]
    counts = [LossCounts.of(batch) for batch in batches]
    step_counts = LossCounts(*map(sum, zip(*counts, strict=True)))
    assert step_counts == LossCounts.of(whole) == (20.0, 30.0, 40.0, 4.5, 90.0, 3.5)
    losses = [train_step(model, batch, STAGE, step_counts=step_counts) for batch in batches]
    total = torch.stack([one.total for one in losses]).sum()
    expected = train_step(model, whole, STAGE).total
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    sums = np.sum([one.sums(count) for one, count in zip(losses, counts, strict=True)], axis=0).tolist()
    means = mean_losses(sums, step_counts, STAGE)
    assert means.loss == pytest.approx(expected.item(), rel=1e-5) == weighted_sum(means)
    wanted = gradient(model, expected)
    for name, tensor in gradient(model, total).items():
        torch.testing.assert_close(tensor, wanted[name], atol=1e-5, rtol=1e-4, msg=name)


def test_the_total_is_the_weighted_sum_of_the_losses(model: ReportModel, whole: Batch) -> None:
    losses = train_step(model, whole, STAGE)
    assert losses.report is not None
    assert losses.total.item() == pytest.approx(weighted_sum(losses).item(), rel=1e-6)
    logits = model(**{name: getattr(whole, name) for name in INPUTS}).logits
    by_hand = report_loss(logits, whole.labels, whole.token_weights, 0.1)
    assert losses.report.item() == pytest.approx(by_hand.item(), rel=1e-6)


def test_every_loss_is_divided_by_the_counts_of_the_step(model: ReportModel, whole: Batch) -> None:
    stage = STAGE.model_copy(update={"scst": STAGE.scst.model_copy(update={"weight": 0.25})})
    sampled = Sampled(
        input_ids=torch.cat([whole.input_ids] * 2),
        attention_mask=torch.cat([whole.attention_mask] * 2),
        labels=whole.labels,
        advantages=torch.tensor([1.0, -2.0, 0.5, 3.0]),
        reward=0.0,
    )
    alone = train_step(model, whole, stage, sampled=sampled)
    assert alone.scst is not None
    without = train_step(model, whole, stage)
    assert (alone.total - without.total).item() == pytest.approx(0.25 * alone.scst.item(), rel=1e-4)
    twice = LossCounts(*(2 * count for count in LossCounts.of(whole)))
    half = train_step(model, whole, stage, sampled=sampled, step_counts=twice)
    assert half.total.item() == pytest.approx(alone.total.item() / 2, rel=1e-5)


def test_missing_reports_and_images_give_no_loss(model: ReportModel, whole: Batch) -> None:
    no_reports = whole._replace(
        input_ids=whole.input_ids[:, :0],
        attention_mask=whole.attention_mask[:, :0],
        labels=whole.labels[:, :0],
        token_weights=whole.token_weights[:, :0],
    )
    no_images = whole._replace(
        pixel_values=whole.pixel_values[:, :0],
        view_positions=whole.view_positions[:, :0],
        view_mask=whole.view_mask[:, :0],
    )
    assert LossCounts.of(no_reports) == (0.0, 0.0, 40.0, 4.5, 90.0, 3.5)
    assert LossCounts.of(no_images) == (20.0, 30.0, 0.0, 0.0, 0.0, 0.0)
    assert train_step(model, no_reports, STAGE).report is None
    assert train_step(model, no_images, STAGE).finding is None
    assert train_step(model, no_images, STAGE).attribute is None
    assert train_step(model, no_images, STAGE).location is None
    assert train_step(model, no_images, STAGE).attention is None
    sums = [6.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    means = mean_losses(sums, LossCounts.of(no_images), STAGE)
    assert means == (0.2, 0.2, None, None, None, None)
    assert means.parts == {"report": 0.2}


def test_the_scst_loss_has_its_weight_in_the_mean() -> None:
    stage = STAGE.model_copy(update={"scst": STAGE.scst.model_copy(update={"weight": 0.25})})
    counts = LossCounts(tokens=4.0, token_weight=8.0)
    means = mean_losses([16.0, 0.0, 0.0, 12.0, 0.0, 0.0], counts, stage)
    assert means == (16 / 8 + 0.25 * 12 / 4, 2.0, None, None, None, None)


def test_a_model_without_locations_learns_none(whole: Batch) -> None:
    attributes = [{"name": "modality", "values": ["CT", "MR"]}, {"name": "plane", "values": ["a", "b", "c"]}]
    losses = train_step(tiny_model(tiny_config(attributes=attributes)), whole, STAGE)
    assert losses.location is None
    assert losses.attention is None


@pytest.mark.parametrize(("usual_tokens", "factor"), [(40, 0.5), (20, 1.0), (10, 2.0)])
def test_a_token_counts_the_same_in_steps_of_short_and_of_long_reports(
    model: ReportModel, whole: Batch, usual_tokens: float, factor: float
) -> None:
    """A step of 20 tokens, where steps have 10 on average, changes the weights twice as much as its mean loss."""
    reports = whole._replace(
        pixel_values=whole.pixel_values[:, :0],
        view_positions=whole.view_positions[:, :0],
        view_mask=whole.view_mask[:, :0],
    )
    losses = train_step(model, reports, STAGE, usual_tokens=usual_tokens)
    assert losses.report is not None
    assert losses.total.item() == pytest.approx(factor * losses.report.item(), rel=1e-6)
