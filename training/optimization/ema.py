"""An exponential moving average of the weights, which is often better than the last of them and steadier than any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """The average of what learns in a model: its parameters with gradients, and its floating-point buffers.

    A buffer that stays as it is averages to itself; batch statistics are averaged like the weights they belong to.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._live = dict(_learning(model))
        self._mean = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after the step of this number, counted from 0 in the stage.

        The decay rises as (1 + step) / (10 + step), TensorFlow's rule, so that an early average is not all beginning.
        """
        average = get_ema_multi_avg_fn(min(self._decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        average(list(self._mean.values()), list(self._live.values()), step)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside, the model has the average for its weights; it must not learn there."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, torch.Tensor]:
        """The average by the names of the model's state, copied to the CPU."""
        return {name: tensor.cpu().clone() for name, tensor in self._mean.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state` gave; names and shapes must be the model's.

        Raises:
            KeyError, RuntimeError: they are not.
        """
        for name, tensor in self._mean.items():
            tensor.copy_(state[name])

    @torch.no_grad()
    def _swap(self) -> None:
        for name, tensor in self._live.items():
            kept = tensor.clone()
            tensor.copy_(self._mean[name])
            self._mean[name].copy_(kept)


def _learning(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    saved = model.state_dict(keep_vars=True).keys()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, parameter
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point() and name in saved:
            yield name, buffer
