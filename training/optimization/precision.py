"""Which arithmetic makes a stage's own training step faster on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from report_gen.model import ReportModel

from ..data.batches import Batch
from ..engine.train_step import loss_alone
from ..recipe.schema import StageRecipe
from ..run.state import snapshot
from .optimizer import build_optimizer, set_train_mode

_WORTH = 1.2
"""bf16 has to be this much faster, since it costs some exactness."""


def measure_precision(model: ReportModel, stage: StageRecipe, batch: Batch) -> bool:
    """Whether the stage's own step on a batch is faster in bf16; the model is left as it was."""
    build_optimizer(model, stage)  # which freezes what has no rate, as in the steps that are to be foretold
    set_train_mode(model, stage.rates)
    before = snapshot(model)
    faster = is_bf16_faster(lambda: loss_alone(model, batch, stage), next(model.parameters()).device)
    # The trial must leave no trace, neither in the gradients nor in the batch statistics of the encoder.
    model.zero_grad(set_to_none=True)
    model.load_state_dict(before)
    return faster


def is_bf16_faster(step: Callable[[], torch.Tensor], device: torch.device) -> bool:
    """Whether forward and backward pass of `step`, which gives a loss, are faster under bf16 autocast.

    A matrix product would mislead: on a CPU with AMX bf16 makes a decoder faster, and the backward pass of a
    depthwise convolution several times slower.
    """
    return _seconds(step, device, bf16=False) > _WORTH * _seconds(step, device, bf16=True)


def _seconds(step: Callable[[], torch.Tensor], device: torch.device, *, bf16: bool) -> float:
    """Of the second of two runs; the first warms up."""
    elapsed = 0.0
    for _ in range(2):
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = step()
        if loss.requires_grad:
            torch.autograd.backward(loss)
        loss.item()  # waits for the device
        elapsed = time.perf_counter() - start
    return elapsed
