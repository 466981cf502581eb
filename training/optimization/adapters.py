"""Low-rank adapters (LoRA; Hu et al., ICLR 2022) on a pretrained decoder, through peft.

Linear layers are replaced in place by layers that add a product of two low-rank matrices. Checkpoints contain plain
weights: `merged_state` adds the products to the weights.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear
from torch import nn
from transformers.pytorch_utils import Conv1D

from report_gen.errors import RecipeError
from report_gen.model import ReportModel

from ..recipe import LoraRecipe

_BASE = ".base_layer."


def add_adapters(model: ReportModel, lora: LoraRecipe) -> None:
    """Add adapters to the pretrained linear layers of the decoder; at first they do not change its output.

    Raises:
        RecipeError: A target of the recipe names no linear layer, or peft has no default targets for the decoder.
    """
    language_model = model.decoder.language_model
    linear = {name: module for name, module in language_model.named_modules() if isinstance(module, nn.Linear | Conv1D)}
    known = [name for name, module in linear.items() if _is_pretrained(name, module, model.decoder.pretrained)]
    _check_targets(lora.targets, known)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # it is only divided by the rank
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or None,
        exclude_modules=sorted(linear.keys() - known) or None,  # new layers are trained completely
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in linear.values()),
    )
    try:
        inject_adapter_in_model(config, language_model)
    except ValueError as error:
        raise RecipeError(
            f"lora: peft has no default targets for a {language_model.config.model_type} decoder; "
            f"set targets to some of {_kinds(known)}"
        ) from error


def is_adapter(name: str) -> bool:
    """Return whether a parameter name belongs to an adapter."""
    return ".lora_" in name


def frozen_parameters(model: ReportModel) -> set[str]:
    """Return the names of the parameters of a pretrained decoder with adapters, which no stage trains."""
    names = [name for name, _ in model.decoder.named_parameters()]
    if not any(map(is_adapter, names)):
        return set()
    kept = {f"language_model.{name}" for name in model.decoder.pretrained}
    return {f"decoder.{name}" for name in names if name.replace(_BASE, ".") in kept}


@torch.no_grad()
def merged_state(model: ReportModel) -> dict[str, torch.Tensor]:
    """Return the weights with the adapters merged, under the names of a model without adapters."""
    state = {name: tensor for name, tensor in model.state_dict().items() if not is_adapter(name)}
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            (adapter,) = module.active_adapters
            weight = state[f"{name}{_BASE}weight"]
            state[f"{name}{_BASE}weight"] = weight + module.get_delta_weight(adapter).to(weight.dtype)
    return {name.replace(_BASE, "."): tensor for name, tensor in state.items()}


def _is_pretrained(name: str, module: nn.Module, pretrained: Collection[str]) -> bool:
    return all(f"{name}.{parameter}" in pretrained for parameter, _ in module.named_parameters())


def _check_targets(targets: Collection[str], known: Collection[str]) -> None:
    """Check every target: peft accepts a list if only one of its targets exists."""
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in known):
            raise RecipeError(
                f"lora: the decoder has no pretrained linear layer {target!r}; set targets to some of {_kinds(known)}"
            )


def _kinds(names: Collection[str]) -> str:
    return ", ".join(sorted({name.rsplit(".", 1)[-1] for name in names}))
