"""Low-rank adapters (LoRA; Hu et al., ICLR 2022) on a published model, through peft, and the projector of the model."""

from __future__ import annotations

import re
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.utils.constants import DUMMY_TARGET_MODULES
from torch import nn
from transformers.pytorch_utils import Conv1D

from report_gen.errors import RecipeError

from ..recipe import LoraSettings
from ..run import Tensors

_PROJECTORS = (
    "multi_modal_projector",  # LLaVA, PaliGemma, Gemma 3, Mistral 3, InternVL
    "merger",  # Qwen-VL
    "connector",  # Idefics, SmolVLM
    "language_projection",  # BLIP-2
    "enc_to_dec_proj",  # VisionEncoderDecoderModel whose parts have different widths
)
"""Names that transformers gives to the layers between image encoder and language model."""
_PEFT_PREFIX = "base_model.model."
"""Beginning of the names in an adapter file, where a `PeftModel` contains the model."""


def add_adapters(model: Any, lora: LoraSettings, *, name: str, revision: str, seed: int) -> LoraConfig:
    """Freeze a model, and add adapters that do not change its output at first. What is trained becomes float32.

    Args:
        model: Model of transformers; it is changed.
        lora: Settings of the recipe.
        name: Hub name or folder of the model, which adapter_config.json names.
        revision: Its commit; empty if unknown.
        seed: Seed of the initial values.

    Raises:
        RecipeError: The model has no layers of the parts that the recipe names.
    """
    layers = _language_layers(model) if "language" in lora.parts else {}
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # it is only divided by the rank
        lora_dropout=lora.dropout,
        target_modules=_pattern(layers) if layers else DUMMY_TARGET_MODULES,
        modules_to_save=_projectors(model) if "projector" in lora.parts else None,
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
        base_model_name_or_path=name,
        revision=revision or None,
    )
    model.requires_grad_(False)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(config, model)
        except ValueError as error:
            reason = " ".join(str(error).split())[:200]
            raise RecipeError(f"lora: peft cannot adapt {name} ({reason}); use another model") from error
    for parameter in trained_parameters(model).values():
        parameter.data = parameter.data.float()
    return config


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by their names in the model."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of what is trained on the CPU, by its names in the model."""
    return {name: parameter.detach().clone().cpu() for name, parameter in trained_parameters(model).items()}


@torch.no_grad()
def load_trained_weights(model: nn.Module, weights: Tensors) -> None:
    """Set what is trained to the values of `trained_weights`."""
    for name, parameter in trained_parameters(model).items():
        parameter.copy_(weights[name])


def peft_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return what is trained on the CPU, by its names in an adapter file of PEFT."""
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {f"{_PEFT_PREFIX}{name}": tensor.detach().contiguous().cpu() for name, tensor in state.items()}


def set_train_mode(model: nn.Module) -> None:
    """Set the trained parts of a model to training mode; frozen parts have no dropout and keep their statistics."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def _language_layers(model: Any) -> dict[str, nn.Module]:
    """Return the linear layers of the language model by their names in the model, without the output layer."""
    language_model, output = model.get_decoder(), model.get_output_embeddings()
    # transformers returns the whole model if it does not know the name of the language model.
    parts = {name: module for name, module in model.named_modules() if module not in (model, model.base_model)}
    layers = {
        f"{prefix}.{name}": module
        for prefix, part in parts.items()
        if part is language_model
        for name, module in part.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not output
    }
    if not layers:
        raise RecipeError(
            "lora.parts: the model has no language model with linear layers that transformers knows; use another model"
        )
    return layers


def _pattern(layers: dict[str, nn.Module]) -> str:
    """Return a regular expression that matches the names of these layers and no others of their part of the model."""
    # A number stands for all numbers, so that the expression has one alternative for each kind of layer.
    kinds = sorted({re.sub(r"\\\.\d+(?=\\\.|$)", r"\.\\d+", re.escape(name)) for name in layers})
    return f"(?:{'|'.join(kinds)})"


def _projectors(model: nn.Module) -> list[str]:
    """Return the names of the layers between image encoder and language model."""
    found = [name for name, _ in model.named_modules() if name.rpartition(".")[2] in _PROJECTORS]
    if not found:
        raise RecipeError(
            f"lora.parts: the model has no projector ({', '.join(_PROJECTORS)}), or report-gen does not know its name; "
            'set lora.parts = ["language"]'
        )
    return found
