"""Parameter groups of encoder, projector and decoder, and their learning rates over time.

The layers of the encoder are those of timm's own grouping: the stem, then block by block; see `encoder_layers`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import torch
from timm.models import group_parameters
from torch import nn
from torch.optim import AdamW

from report_gen.errors import RecipeError
from report_gen.model import ReportModel

from ..recipe.schema import Rates, StageRecipe
from .adapters import frozen

_TOLD = re.compile(r"projector\.(?:state_embedding|attribute_embeddings\.\d+)")


def build_optimizer(model: ReportModel, stage: StageRecipe) -> AdamW:
    """AdamW over what has a rate; the rest is frozen. Only matrices decay.

    Raises:
        RecipeError: the recipe speaks of layers of the encoder that it does not have.
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
    """The peak rate of every parameter by its name; 0 for what is frozen.

    What adapters stand in for is frozen whatever the rate.
    """
    peaks = {name: getattr(rates, _part(name)) for name, _ in model.named_parameters()}
    return peaks | _encoder_rates(model, rates) | dict.fromkeys(frozen(model), 0.0)


def parts(model: ReportModel) -> dict[str, list[nn.Parameter]]:
    """All parameters by part."""
    listed: dict[str, list[nn.Parameter]] = {"encoder": [], "projector": [], "decoder": []}
    for name, parameter in model.named_parameters():
        listed[_part(name)].append(parameter)
    return listed


def encoder_layers(model: ReportModel) -> dict[str, int]:
    """The layer of every parameter of the encoder by its name in the model, from 0 at the pixels.

    Raises:
        RecipeError: timm has no grouping for this architecture.
    """
    backbone = model.encoder.backbone
    if not hasattr(backbone, "group_matcher"):
        raise RecipeError(
            f"timm knows no layers of the encoder {model.config.encoder.name!r}; "
            "leave encoder_layers and encoder_decay out, or choose another encoder"
        )
    layers = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)
    return {f"encoder.backbone.{name}": layer for name, layer in layers.items()}


def set_rates(optimizer: torch.optim.Optimizer, stage: StageRecipe, step: int) -> None:
    """Linear warm-up, then half a cosine down to a tenth of the peak: a function of the step alone."""
    warm = max(1, round(stage.steps * stage.warmup))
    done = (step - warm) / max(1, stage.steps - warm)
    factor = (step + 1) / warm if step < warm else 0.1 + 0.45 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def set_train_mode(model: ReportModel, rates: Rates) -> None:
    """Training mode for what learns: what is frozen of the encoder keeps its batch statistics and drops nothing."""
    model.train()
    for module, rate in _modules(model, rates):
        module.train(rate > 0)
    if rates.encoder > 0:
        for module in model.encoder.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()


def _part(name: str) -> str:
    """The part that a parameter belongs to; what states and attributes are told by counts as words of the decoder."""
    return "decoder" if _TOLD.fullmatch(name) else name.partition(".")[0]


def _encoder_rates(model: ReportModel, rates: Rates) -> dict[str, float]:
    """The rates of the encoder's parameters, where its layers have rates of their own."""
    if rates.encoder == 0 or (rates.encoder_layers is None and rates.encoder_decay == 1):
        return {}
    layers = encoder_layers(model)
    top = max(layers.values())
    learning = top + 1 if rates.encoder_layers is None else rates.encoder_layers
    if learning > top + 1:
        raise RecipeError(
            f"encoder_layers = {learning}, but the encoder {model.config.encoder.name!r} has {top + 1} layers; "
            "leave it out to train all of them"
        )
    return {
        name: rates.encoder * rates.encoder_decay ** (top - layer) if top - layer < learning else 0.0
        for name, layer in layers.items()
    }


def _modules(model: ReportModel, rates: Rates) -> Iterator[tuple[nn.Module, float]]:
    yield model.encoder, rates.encoder
    yield model.projector, rates.projector
    yield model.decoder, rates.decoder
