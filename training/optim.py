"""Parameter groups of encoder, projector and decoder, and their learning rates over time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from report_gen.model import ReportModel

from .recipe import Rates, StageRecipe


def build_optimizer(model: ReportModel, stage: StageRecipe) -> AdamW:
    """AdamW over the parts with a rate; the others are frozen. Only matrices decay."""
    groups: list[dict[str, Any]] = []
    for part, parameters in parts(model).items():
        rate = getattr(stage.rates, part)
        for parameter in parameters:
            parameter.requires_grad_(rate > 0)
        for decays in (True, False):
            chosen = [p for p in parameters if (p.ndim > 1) == decays]
            if rate > 0 and chosen:
                groups.append({"params": chosen, "peak": rate, "weight_decay": stage.weight_decay if decays else 0.0})
    return AdamW(groups, betas=(0.9, 0.98), fused=True)


def set_rates(optimizer: torch.optim.Optimizer, stage: StageRecipe, step: int) -> None:
    """Linear warm-up, then half a cosine down to a tenth of the peak: a function of the step alone."""
    warm = max(1, round(stage.steps * stage.warmup))
    done = (step - warm) / max(1, stage.steps - warm)
    factor = (step + 1) / warm if step < warm else 0.1 + 0.45 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def parts(model: ReportModel) -> dict[str, list[nn.Parameter]]:
    """Parameters by part; the state embeddings count as words of the decoder."""
    states = model.projector.state_embedding
    return {
        "encoder": list(model.encoder.parameters()),
        "projector": [p for p in model.projector.parameters() if p is not states],
        "decoder": [*model.decoder.parameters(), states],
    }


def set_train_mode(model: ReportModel, rates: Rates) -> None:
    """Training mode for what learns: a frozen encoder keeps its batch statistics and drops nothing."""
    model.train()
    for module, rate in _modules(model, rates):
        module.train(rate > 0)


def _modules(model: ReportModel, rates: Rates) -> Iterator[tuple[nn.Module, float]]:
    yield model.encoder, rates.encoder
    yield model.projector, rates.projector
    yield model.decoder, rates.decoder
