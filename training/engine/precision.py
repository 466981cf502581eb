"""Measure whether bf16 makes the training step of a stage faster on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from report_gen.model import ReportModel

from ..data import Batch
from ..optimization import build_optimizer, set_train_mode
from ..recipe import StageRecipe
from ..run import snapshot
from .train_step import train_step

_MIN_SPEEDUP = 1.2
"""Speedup from which bf16 is used, since it costs some precision."""
_EMULATED = 3.0
"""Slowdown of a matrix product from which bf16 counts as emulated."""
_MATRIX = 512
"""Rows and columns of the matrix."""


def measure_precision(model: ReportModel, stage: StageRecipe, batch: Batch) -> bool:
    """Return whether the stage's step on a batch is faster in bf16; the model is left unchanged.

    Args:
        model: The model in training.
        stage: Recipe of the stage.
        batch: A training batch of the stage.
    """
    build_optimizer(model, stage)  # freezes the untrained parts, as in the steps to come
    set_train_mode(model, stage.rates)
    before = snapshot(model)
    faster = is_bf16_faster(lambda: train_step(model, batch, stage).total, next(model.parameters()).device)
    # Undo the trial's effect on gradients and on the batch statistics of the encoder.
    model.zero_grad(set_to_none=True)
    model.load_state_dict(before)
    return faster


def is_bf16_faster(step: Callable[[], torch.Tensor], device: torch.device) -> bool:
    """Return whether forward and backward pass of `step`, which returns a loss, are faster under bf16 autocast.

    Timing a matrix product instead would mislead: on a CPU with AMX, bf16 makes a decoder faster, but the backward pass
    of a depthwise convolution several times slower. A slow matrix product is conclusive, however: a processor without
    bf16 instructions may take minutes for the step, so that the step is not tried.
    """
    return not is_bf16_emulated(device) and _seconds(step, device, bf16=False) > _MIN_SPEEDUP * _seconds(
        step, device, bf16=True
    )


def is_bf16_emulated(device: torch.device) -> bool:
    """Return whether a matrix product takes much longer in bf16 than in float32."""
    matrix = torch.ones(_MATRIX, _MATRIX, device=device)
    seconds = {bf16: _seconds(lambda: (matrix @ matrix).sum(), device, bf16=bf16) for bf16 in (False, True)}
    return seconds[True] > _EMULATED * seconds[False]


def _seconds(step: Callable[[], torch.Tensor], device: torch.device, *, bf16: bool) -> float:
    """Return the seconds of the second of two runs; the first warms up."""
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
