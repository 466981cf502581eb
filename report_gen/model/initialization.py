"""Build modules without the random numbers of their initialization, if stored weights replace these anyway."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

_DRAWING = frozenset({torch.Tensor.normal_, torch.Tensor.uniform_})


class WithoutInitialization(TorchFunctionMode):
    """Leaves the parameters of modules that are built in this context as they are in the memory. Buffers are computed.

    This saves time, and random numbers of the global generator. On the device `meta` it also saves memory: there torch
    computes `normal_` in Python and imports its compiler for that, which takes a second and 150 MB.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, unless it initializes a parameter."""
        arguments = kwargs or {}
        if func in _DRAWING or getattr(func, "__module__", None) == nn.init.__name__:
            tensor = args[0] if args else arguments.get("tensor")
            if isinstance(tensor, nn.Parameter):
                return tensor
        return func(*args, **arguments)
