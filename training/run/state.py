"""The weights of a model and the moments of its optimiser, as plain tensors and back; whole also where several devices
hold a part each."""

from __future__ import annotations

from collections.abc import Mapping

import torch

Tensors = Mapping[str, torch.Tensor]


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of all weights, on the CPU."""
    return {name: tensor.detach().clone().contiguous().cpu() for name, tensor in model.state_dict().items()}


def pack_moments(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What the optimiser remembers of every parameter, by the parameter's number and the name of the memory.

    Rates and decay are not in it: they follow from the recipe and the step.
    """
    return {
        f"{number}.{name}": value.detach().contiguous().cpu()
        for number, memories in optimizer.state_dict()["state"].items()
        for name, value in memories.items()
    }


def unpack_moments(optimizer: torch.optim.Optimizer, packed: Tensors) -> None:
    """Give an optimiser over the same parameters back what it remembered.

    Raises:
        ValueError, KeyError: the memories are those of other parameters.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    memories: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in packed.items():
        number, _, name = key.partition(".")
        memories.setdefault(int(number), {})[name] = _laid_out(value, parameters[int(number)])
    optimizer.load_state_dict({"state": memories, "param_groups": optimizer.state_dict()["param_groups"]})


def _laid_out(value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """In the parameter's memory layout, which a file does not keep and the fused update relies on."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
