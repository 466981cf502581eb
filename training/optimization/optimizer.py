"""Build the optimizer with parameter groups for encoder, projector and decoder, and set their learning rates.

Encoder layers are grouped as in timm: the stem, then each block; see `encoder_layers`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import torch
from timm.models import group_parameters
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import AdamW

from report_gen.errors import RecipeError
from report_gen.model import ReportModel

from ..recipe import Rates, StageRecipe, TrainingSteps
from .adapters import frozen_parameters

_STATE_EMBEDDING = re.compile(r"projector\.(?:state_embedding|location_embedding|attribute_embeddings\.\d+)")


def build_optimizer(model: ReportModel, stage: StageRecipe) -> AdamW:
    """Build AdamW over the parameters with a learning rate, and freeze the others. Only matrices have weight decay.

    Raises:
        RecipeError: The stage names encoder layers that do not exist.
    """
    rates = learning_rates(model, stage.rates)
    groups: dict[tuple[str, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(rates[name] > 0)
        if rates[name] > 0:
            groups.setdefault((_part(name), rates[name], parameter.ndim > 1), []).append(parameter)
    return AdamW(
        [
            {"params": group, "part": part, "peak": rate, "weight_decay": stage.weight_decay if decays else 0.0}
            for (part, rate, decays), group in groups.items()
        ],
        betas=(0.9, 0.98),
        fused=True,
    )


def learning_rates(model: ReportModel, rates: Rates) -> dict[str, float]:
    """Return the peak learning rate of every parameter by name; 0 if it is frozen.

    Pretrained decoder weights with adapters are frozen whatever the rate.
    """
    peaks = {name: getattr(rates, _part(name)) for name, _ in model.named_parameters()}
    return peaks | _encoder_rates(model, rates) | dict.fromkeys(frozen_parameters(model), 0.0)


def parameters_by_part(model: ReportModel) -> dict[str, list[nn.Parameter]]:
    """Return all parameters by model part: encoder, projector, decoder."""
    parts: dict[str, list[nn.Parameter]] = {"encoder": [], "projector": [], "decoder": []}
    for name, parameter in model.named_parameters():
        parts[_part(name)].append(parameter)
    return parts


def encoder_layers(model: ReportModel) -> dict[str, int]:
    """Return the layer number of every encoder parameter by its name in the model; layer 0 is next to the pixels.

    Raises:
        RecipeError: timm has no grouping for this architecture.
    """
    backbone = model.encoder.backbone
    if not hasattr(backbone, "group_matcher"):
        raise RecipeError(
            f"timm defines no layers for the encoder {model.config.encoder.name!r}; "
            "remove encoder_layers and encoder_decay, or choose another encoder"
        )
    layers = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)
    return {f"encoder.backbone.{name}": layer for name, layer in layers.items()}


def set_rates(optimizer: torch.optim.Optimizer, stage: TrainingSteps, step: int) -> None:
    """Set the learning rates of a step: linear warm-up, then half a cosine down to a tenth of the peak."""
    warmup = max(1, round(stage.steps * stage.warmup))
    done = (step - warmup) / max(1, stage.steps - warmup)
    factor = (step + 1) / warmup if step < warmup else 0.1 + 0.45 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def set_train_mode(model: ReportModel, rates: Rates) -> None:
    """Set trained parts to training mode; frozen parts keep their batch statistics and have no dropout.

    With `frozen_batch_norm` the whole encoder keeps its batch statistics; weights and biases are trained.
    """
    model.train()
    for module, rate in _modules(model, rates):
        module.train(rate > 0)
    if rates.encoder > 0:
        for module in model.encoder.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
            if rates.frozen_batch_norm and isinstance(module, _BatchNorm):
                module.eval()


def belongs_to_image(name: str) -> bool:
    """Return whether a tensor of the model belongs to its image side: the encoders, or a head that needs no decoder."""
    return name.startswith(("encoder.", "sequence.")) or (
        name.startswith("projector.") and _part(name) == "projector" and not name.startswith(_TO_DECODER)
    )


_TO_DECODER = ("projector.finding_mlp", "projector.patch_")
"""Parts of the projector that make tokens of the decoder."""


def _part(name: str) -> str:
    """Return the model part of a parameter.

    The embeddings of states, locations and attributes belong to the decoder, because texts alone train them. The
    sequence encoder belongs to the projector, because both are new beside a pretrained encoder.
    """
    part = name.partition(".")[0]
    return "decoder" if _STATE_EMBEDDING.fullmatch(name) else "projector" if part == "sequence" else part


def _encoder_rates(model: ReportModel, rates: Rates) -> dict[str, float]:
    """Return the learning rates of the encoder parameters if its layers have different ones, else nothing."""
    if rates.encoder == 0 or (rates.encoder_layers is None and rates.encoder_decay == 1):
        return {}
    layers = encoder_layers(model)
    top = max(layers.values())
    trained = top + 1 if rates.encoder_layers is None else rates.encoder_layers
    if trained > top + 1:
        raise RecipeError(
            f"encoder_layers = {trained}, but the encoder {model.config.encoder.name!r} has {top + 1} layers; "
            "remove it to train all of them"
        )
    return {
        name: rates.encoder * rates.encoder_decay ** (top - layer) if top - layer < trained else 0.0
        for name, layer in layers.items()
    }


def _modules(model: ReportModel, rates: Rates) -> Iterator[tuple[nn.Module, float]]:
    yield model.encoder, rates.encoder
    yield model.projector, rates.projector
    if model.sequence is not None:
        yield model.sequence, rates.projector
    yield model.decoder, rates.decoder
