"""Low-rank adapters (LoRA; Hu et al., ICLR 2022) on a pretrained decoder, through peft.

Linear layers are replaced in place by layers that add a product of two low-rank matrices. A checkpoint contains either
plain weights, to which `merged_state` adds the products, or what `adapter_state` returns: the low-rank matrices and the
weights that the pretrained decoder does not have.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear
from pydantic import ValidationError
from torch import nn
from transformers.pytorch_utils import Conv1D

from report_gen.config import AdapterConfig
from report_gen.errors import RecipeError
from report_gen.model import TOKEN_ROWS, ReportModel, stored_tensors

from ..recipe import LoraRecipe

_BASE = ".base_layer."
_MATRIX = re.compile(r"\.(lora_[AB])\.[^.]+\.")
"""Matches a low-rank matrix with the name that peft gives to one of several adapters of a layer."""


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


def adapter_config(model: ReportModel, *, base: str, sha256: str) -> AdapterConfig:
    """Return the configuration of a checkpoint that `adapter_state` fills.

    Args:
        model: Model with adapters on its decoder.
        base: Name of the pretrained decoder.
        sha256: SHA-256 of its weights.

    Raises:
        RecipeError: The name cannot be part of a configuration.
    """
    (lora,) = model.decoder.language_model.peft_config.values()
    try:
        return AdapterConfig(
            base=base,
            sha256=sha256,
            rank=lora.r,
            alpha=lora.lora_alpha,
            targets=tuple(sorted(lora.target_modules)),  # with peft's choice, if the recipe leaves it to peft
            keeps_tokens=model.decoder.token_rows is not None,
        )
    except ValidationError as error:
        raise RecipeError(
            f"model.decoder_weights: {base[:300]!r} cannot be the base of an adapter ({error.errors()[0]['msg']}); "
            'use another name, such as a relative path, or set model.lora.stored = "merged"'
        ) from error


@torch.no_grad()
def adapter_state(model: ReportModel) -> dict[str, torch.Tensor]:
    """Return the weights that the pretrained decoder does not have, by the names of `report_gen/model/adapter.py`."""
    kept = {f"decoder.language_model.{name}" for name in model.decoder.pretrained}
    named = {_MATRIX.sub(r".\1.", name.replace(_BASE, ".")): one for name, one in stored_tensors(model).items()}
    state = {name: tensor.detach() for name, tensor in named.items() if name not in kept}
    if model.decoder.token_rows is not None:
        state[TOKEN_ROWS] = torch.tensor(model.decoder.token_rows, dtype=torch.int32)
    return state


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
