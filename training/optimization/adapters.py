"""Low-rank adapters (LoRA; Hu et al., ICLR 2022) on a pretrained decoder, through peft.

An adapted model keeps its shape: its linear layers are exchanged in place for layers that add a product of two narrow
matrices. Checkpoints know nothing of them: `merged_state` adds the products to the weights.
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

from ..recipe.schema import LoraRecipe

_BASE = ".base_layer."


def adapt(model: ReportModel, lora: LoraRecipe) -> None:
    """Put adapters, which change nothing yet, on the pretrained linear layers of the decoder.

    Raises:
        RecipeError: there is no linear layer of a name that the recipe targets, or peft knows none to choose.
    """
    language_model = model.decoder.language_model
    linear = {name: module for name, module in language_model.named_modules() if isinstance(module, nn.Linear | Conv1D)}
    known = [name for name, module in linear.items() if _is_pretrained(name, module, model.decoder.pretrained)]
    _check_targets(lora.targets, known)
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # only ever divided by the rank
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or None,
        exclude_modules=sorted(linear.keys() - known) or None,  # what is new learns as a whole
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in linear.values()),
    )
    try:
        inject_adapter_in_model(config, language_model)
    except ValueError as error:
        raise RecipeError(
            f"lora: peft does not know which layers of a {language_model.config.model_type} decoder to adapt; "
            f"set targets to some of {_kinds(known)}"
        ) from error


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name is an adapter's."""
    return ".lora_" in name


def frozen(model: ReportModel) -> set[str]:
    """Names of the parameters that no stage moves: those of the pretrained decoder, once it has adapters."""
    names = [name for name, _ in model.decoder.named_parameters()]
    if not any(map(is_adapter, names)):
        return set()
    kept = {f"language_model.{name}" for name in model.decoder.pretrained}
    return {f"decoder.{name}" for name in names if name.replace(_BASE, ".") in kept}


@torch.no_grad()
def merged_state(model: ReportModel) -> dict[str, torch.Tensor]:
    """The weights under the names of a plain model, with what the adapters add; the model stays as it is."""
    state = {name: tensor for name, tensor in model.state_dict().items() if not is_adapter(name)}
    for name, module in model.named_modules():
        if isinstance(module, Linear):
            (adapter,) = module.active_adapters
            weight = state[f"{name}{_BASE}weight"]
            state[f"{name}{_BASE}weight"] = weight + module.get_delta_weight(adapter).to(weight.dtype)
    return {name.replace(_BASE, "."): tensor for name, tensor in state.items()}


def _is_pretrained(name: str, module: nn.Module, pretrained: Collection[str]) -> bool:
    return all(f"{name}.{own}" in pretrained for own, _ in module.named_parameters())


def _check_targets(targets: Collection[str], known: Collection[str]) -> None:
    """Every target by itself: peft is content when one of several is there."""
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in known):
            raise RecipeError(
                f"lora: the decoder has no pretrained linear layer {target!r}; set targets to some of {_kinds(known)}"
            )


def _kinds(names: Collection[str]) -> str:
    return ", ".join(sorted({name.rsplit(".", 1)[-1] for name in names}))
