"""Convert the weights of a model and the state of its optimizer to plain tensors and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch

Tensors = Mapping[str, torch.Tensor]


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of all weights on the CPU."""
    return {name: tensor.detach().clone().contiguous().cpu() for name, tensor in model.state_dict().items()}


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimizer state of every parameter as `NUMBER.NAME` -> tensor on the CPU.

    Learning rates and weight decay are not included: they follow from the recipe and the step.
    """
    return {
        f"{number}.{name}": value.detach().contiguous().cpu()
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
    }


def unpack_optimizer(optimizer: torch.optim.Optimizer, packed: Tensors, *, steps: int) -> None:
    """Restore the state packed from an AdamW optimizer over the same parameters.

    Args:
        optimizer: The optimizer.
        packed: Output of `pack_optimizer`.
        steps: Steps done; a parameter has been updated at most as often.

    Raises:
        ValueError, LookupError: The state belongs to other parameters, is incomplete, or is that of later steps.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in packed.items():
        number, _, name = key.partition(".")
        if not number.isdecimal() or int(number) >= len(parameters):
            raise LookupError(key)
        state.setdefault(int(number), {})[name] = value
    for index, values in state.items():
        _check_moments(values, parameters[index], steps)
        state[index] = {name: _match_layout(value, parameters[index]) for name, value in values.items()}
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _check_moments(values: Tensors, parameter: torch.Tensor, steps: int) -> None:
    """Check the state of AdamW for one parameter: number of updates, and mean of gradients and squared gradients."""
    if values.keys() != {"step", "exp_avg", "exp_avg_sq"} or not 1 <= values["step"].item() <= steps:
        raise ValueError("the optimizer state is incomplete or belongs to another step")
    means = values["exp_avg"], values["exp_avg_sq"]
    if any(mean.shape != parameter.shape for mean in means) or means[1].lt(0).any():
        raise ValueError("the optimizer state belongs to another model")


def _match_layout(value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Give a tensor the memory layout of its parameter, which files do not keep and the fused update needs."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
