"""A model that learns: with its optimiser, as accelerate runs them on one device or several."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from accelerate import Accelerator

from report_gen.model import ReportModel

from .optim import build_optimizer
from .recipe import StageRecipe
from .states import Tensors, pack_moments, unpack_moments


class Learner:
    """The model of a stage, its optimiser, and what of both has to be kept.

    `whole` is the model as drafting knows it, `forward` the same as accelerate wraps it.

    Args:
        moments: what the optimiser remembered when the stage was left; None at its beginning.

    Raises:
        ValueError, KeyError, IndexError: the moments are those of another model.
    """

    def __init__(
        self, model: ReportModel, stage: StageRecipe, accelerator: Accelerator, moments: Tensors | None
    ) -> None:
        self._accelerator, self._clip = accelerator, stage.clip
        self.whole = model
        optimizer = build_optimizer(model, stage)
        if moments is not None:
            unpack_moments(optimizer, moments)
        self.forward, self.optimizer = accelerator.prepare(model, optimizer)

    def gathering(self, *, last: bool) -> AbstractContextManager[None]:
        """Around forward and backward pass of one of several batches of a step: gradients travel at the last alone."""
        held: AbstractContextManager[None] = self._accelerator.no_sync(self.forward)
        return nullcontext() if last else held

    def learn(self, loss: torch.Tensor) -> None:
        """Add a batch's gradient to that of the step; accelerate would take the mean over processes, we add up."""
        self._accelerator.backward(loss * self._accelerator.num_processes)

    def step(self, *, apply: bool) -> bool:
        """Move the weights if `apply`, and the gradient is a number; forget it. Gives whether they moved."""
        norm = self._accelerator.clip_grad_norm_(self.forward.parameters(), self._clip)
        finite = bool(torch.isfinite(norm))
        if apply and finite:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return apply and finite

    def moments(self) -> Tensors:
        """What the optimiser remembers, whole and on the CPU."""
        return pack_moments(self.optimizer)

    def release(self) -> None:
        """Let go of what accelerate holds for the stage."""
        self._accelerator.free_memory()
