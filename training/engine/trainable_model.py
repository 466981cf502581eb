"""The model of a stage with its optimizer and moving average, run by accelerate on one device or several."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from accelerate import Accelerator

from report_gen.model import ReportModel

from ..optimization import MovingAverage, build_optimizer, set_rates
from ..recipe import StageRecipe
from ..run import Tensors, TrainState, pack_optimizer, unpack_optimizer


class TrainableModel:
    """The model of a stage, its optimizer, its moving average if it keeps one, and their saved state.

    `module` is the plain model; `wrapped` is the same model as accelerate wraps it for the forward pass.
    """

    is_sharded = False
    """Whether each process holds only a part of the model, so that all must save and validate together."""

    def __init__(self, model: ReportModel, stage: StageRecipe, accelerator: Accelerator) -> None:
        self.module, self._stage, self._accelerator = model, stage, accelerator
        optimizer = build_optimizer(model, stage)
        self._ema = MovingAverage(model, stage.ema_decay) if stage.ema_decay else None
        self.wrapped, self._optimizer = accelerator.prepare(model, optimizer)

    def restore(self, state: TrainState) -> None:
        """Restore optimizer and moving average; the model has the weights of the state already.

        Raises:
            ValueError, LookupError, RuntimeError: The state belongs to another model.
        """
        if state.optimizer:
            unpack_optimizer(self._optimizer, state.optimizer, steps=state.progress.step)
        if self._ema is not None and state.ema is not None:
            self._ema.load(state.ema)

    def set_rates(self, step: int) -> dict[str, float]:
        """Set the learning rates of a step, and return the rates of the trained parts."""
        set_rates(self._optimizer, self._stage, step)
        group = self._optimizer.param_groups[0]
        peaks = {part: getattr(self._stage.rates, part) for part in ("encoder", "projector", "decoder")}
        return {part: peak * group["lr"] / group["peak"] for part, peak in peaks.items() if peak}

    def gradient_sync(self, *, last: bool) -> AbstractContextManager[None]:
        """Wrap forward and backward pass of one batch of a step; processes exchange gradients after the last batch."""
        no_sync: AbstractContextManager[None] = self._accelerator.no_sync(self.wrapped)
        return nullcontext() if last else no_sync

    def backward(self, loss: torch.Tensor) -> None:
        """Add a batch's gradient to that of the step."""
        # accelerate averages gradients over the processes, but the loss of a step is a sum over them.
        self._accelerator.backward(loss * self._accelerator.num_processes)

    def step(self, step: int, *, apply: bool) -> bool:
        """Update the weights if `apply` and the gradient is finite, and clear the gradient.

        Returns:
            Whether the weights were updated.
        """
        norm = self._accelerator.clip_grad_norm_(self.wrapped.parameters(), self._stage.clip)
        applied = apply and math.isfinite(norm)
        if applied:
            self._optimizer.step()
        if applied and self._ema is not None:
            self._ema.update(step)
        self._optimizer.zero_grad(set_to_none=True)
        return applied

    def gather_weights(self) -> None:
        """Gather the weights in the model that is validated and saved. All processes call this method.

        A model that is not sharded has all weights already.
        """

    def ema_weights(self) -> AbstractContextManager[None]:
        """Give the model the moving average of its weights while the context lasts, if the stage keeps one."""
        return nullcontext() if self._ema is None else self._ema.applied()

    def optimizer_state(self) -> Tensors:
        """Return the optimizer state."""
        return pack_optimizer(self._optimizer)

    def ema_state(self) -> Tensors | None:
        """Return the moving average, if the stage keeps one."""
        return None if self._ema is None else self._ema.state()

    def release(self) -> None:
        """Free the objects that accelerate holds for the stage."""
        self._accelerator.free_memory()
