"""Exponential moving average (EMA) of the weights, often better and more stable than the latest weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """The moving average of a model's trained parameters and floating-point buffers.

    Batch statistics are averaged like the weights that they belong to; constant buffers do not change.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._live = dict(_averaged_tensors(model))
        self._mean = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Update the average after a step, counted from 0 in the stage.

        The decay is at most (1 + step) / (10 + step), as in TensorFlow, so that the initial weights are soon forgotten.
        """
        average = get_ema_multi_avg_fn(min(self._decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        average(list(self._mean.values()), list(self._live.values()), step)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights while the context lasts; it must not be trained meanwhile."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, torch.Tensor]:
        """Return a copy of the average on the CPU, by the names of the model's state."""
        return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self._mean.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the average from `state()`.

        Raises:
            KeyError, RuntimeError: Names or shapes do not fit the model.
        """
        for name, tensor in self._mean.items():
            tensor.copy_(state[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in self._live.items():
            kept = tensor.clone()
            tensor.copy_(self._mean[name])
            self._mean[name].copy_(kept)


def _averaged_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    saved = model.state_dict(keep_vars=True).keys()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, parameter
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point() and name in saved:
            yield name, buffer
