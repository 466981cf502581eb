"""What a batch adds to the loss of a step, by hand."""

from __future__ import annotations

import pytest
import torch
from report_gen_training.recipe import StageRecipe
from report_gen_training.stepping import Losses, Weights, share

STAGE = StageRecipe.model_validate(
    {"name": "a", "corpora": ["c"], "steps": 1, "finding_weight": 0.5, "rates": {"decoder": 1e-3}}
)


def losses(report: float, finding: float | None = None) -> Losses:
    return Losses(
        report=torch.tensor(report),
        finding=None if finding is None else torch.tensor(finding),
        critical=None,
        finding_logits=None,
    )


def test_batches_add_up_to_the_mean_over_all_their_tokens_and_targets() -> None:
    long, short = Weights(tokens=30, weighted=30, targets=14), Weights(tokens=10, weighted=20, targets=0)
    totals = Weights(tokens=40, weighted=50, targets=14)
    added = share(losses(2.0, 0.6), long, totals, STAGE) + share(losses(4.0), short, totals, STAGE)
    assert float(added) == pytest.approx((30 * 2.0 + 20 * 4.0) / 50 + 0.5 * 0.6)


def test_a_token_counts_alike_in_steps_of_short_and_of_long_reports() -> None:
    """With 40 tokens a step on average, one of 80 moves the weights twice as far as its mean loss says."""
    for tokens, factor in ((20, 0.5), (40, 1.0), (80, 2.0)):
        weights = Weights(tokens=tokens, weighted=tokens)
        assert float(share(losses(3.0), weights, weights, STAGE, usual_tokens=40)) == pytest.approx(3.0 * factor)
