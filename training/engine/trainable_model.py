"""A model that learns: with its optimiser and its average, as accelerate runs them on one device or several."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from accelerate import Accelerator

from report_gen.model import ReportModel

from ..optimization.ema import Average
from ..optimization.optimizer import build_optimizer, set_rates
from ..recipe.schema import StageRecipe
from ..run.folder import TrainState
from ..run.state import Tensors, pack_moments, unpack_moments


class TrainableModel:
    """The model of a stage, its optimiser, its average if it keeps one, and what of them has to be saved.

    `learning` is the model that learns, `forward` the same as accelerate wraps it.
    """

    is_sharded = False
    """Whether all processes must save and validate together, since each has but a part."""

    def __init__(self, model: ReportModel, stage: StageRecipe, accelerator: Accelerator) -> None:
        self.learning, self._stage, self._accelerator = model, stage, accelerator
        optimizer = build_optimizer(model, stage)
        self._average = Average(model, stage.average) if stage.average else None
        self.forward, self._optimizer = accelerator.prepare(model, optimizer)

    def restore(self, state: TrainState) -> None:
        """Go on from a state, of which the model has the weights already.

        Raises:
            ValueError, LookupError, RuntimeError: it is that of another model.
        """
        if state.optimizer:
            unpack_moments(self._optimizer, state.optimizer)
        if self._average is not None and state.average is not None:
            self._average.load(state.average)

    def set_rates(self, step: int) -> dict[str, float]:
        """Choose the learning rates of a step; gives those of the parts that learn."""
        set_rates(self._optimizer, self._stage, step)
        group = self._optimizer.param_groups[0]
        peaks = {part: getattr(self._stage.rates, part) for part in ("encoder", "projector", "decoder")}
        return {part: peak * group["lr"] / group["peak"] for part, peak in peaks.items() if peak}

    def gathering(self, *, last: bool) -> AbstractContextManager[None]:
        """Around forward and backward pass of one of several batches of a step: gradients travel at the last alone."""
        held: AbstractContextManager[None] = self._accelerator.no_sync(self.forward)
        return nullcontext() if last else held

    def learn(self, loss: torch.Tensor) -> None:
        """Add a batch's gradient to that of the step; accelerate would take the mean over processes, we add up."""
        self._accelerator.backward(loss * self._accelerator.num_processes)

    def step(self, step: int, *, apply: bool) -> bool:
        """Move the weights if `apply`, and the gradient is a number; forget it. Gives whether they moved."""
        norm = self._accelerator.clip_grad_norm_(self.forward.parameters(), self._stage.clip)
        moves = apply and math.isfinite(norm)
        if moves:
            self._optimizer.step()
        if moves and self._average is not None:
            self._average.update(step)
        self._optimizer.zero_grad(set_to_none=True)
        return moves

    def collect(self) -> None:
        """Bring the weights together in the model that is validated and saved; all processes call it."""

    def averaged(self) -> AbstractContextManager[None]:
        """Inside, the model has the average for its weights, where the stage keeps one."""
        return nullcontext() if self._average is None else self._average.applied()

    def moments(self) -> Tensors:
        """What the optimiser remembers."""
        return pack_moments(self._optimizer)

    def average(self) -> Tensors | None:
        return None if self._average is None else self._average.state()

    def release(self) -> None:
        """Let go of what accelerate holds for the stage."""
        self._accelerator.free_memory()
