"""A model to train: built to a recipe, its parts filled with weights that exist already."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from report_gen.errors import RecipeError
from report_gen.model import ModelConfig, ReportModel
from report_gen.model.config import EncoderConfig
from report_gen.model.decoder import load_pretrained

from .recipe import Recipe


def build_model(recipe: Recipe, vocabulary_size: int) -> ReportModel:
    """A model with the recipe's initial weights; what is not given starts from noise that the seed decides.

    Raises:
        RecipeError: initial weights are missing or do not fit the encoder.
    """
    torch.manual_seed(recipe.seed)
    chosen = recipe.model
    config = ModelConfig(
        name=recipe.name,
        conditioning=chosen.conditioning,
        vocabulary_size=vocabulary_size,
        encoder=chosen.encoder,
        projector=chosen.projector,
        decoder=chosen.decoder,
        modalities=chosen.modalities,
        views=chosen.views,
    )
    if chosen.decoder_weights is None:
        model = ReportModel(config)
    else:
        language_model = load_pretrained(
            chosen.decoder_weights,
            vocabulary_size=vocabulary_size,
            cross_attention=chosen.conditioning == "cross_attention",
        )
        decoder = chosen.decoder.model_copy(update={"transformer": language_model.config.to_diff_dict()})
        model = ReportModel(config.model_copy(update={"decoder": decoder}), language_model=language_model)
    if chosen.encoder_weights is not None:
        _fill_encoder(model, recipe)
    return model


def _fill_encoder(model: ReportModel, recipe: Recipe) -> None:
    backbone, wanted = model.encoder.backbone, recipe.model.encoder_weights
    if wanted == "pretrained":
        weights = _pretrained_weights(recipe.model.encoder)
    else:
        weights = _read_weights(recipe.resolve(str(wanted)))
    # The file may hold the head as well, which the encoder has cut off.
    fitting = {name: weights[name] for name in backbone.state_dict() if name in weights}
    try:
        backbone.load_state_dict(fitting)
    except RuntimeError as error:
        raise RecipeError(
            f"{wanted}: these are not the weights of the encoder {recipe.model.encoder.name!r}; "
            f"{len(fitting)} of its {len(backbone.state_dict())} tensors are there and not all of their shape"
        ) from error


def _pretrained_weights(encoder: EncoderConfig) -> dict[str, torch.Tensor]:
    if not timm.is_model_pretrained(encoder.name):  # timm would warn and go on with noise
        raise RecipeError(f"timm has no pretrained weights of the encoder {encoder.name!r}; name a file of weights")
    try:
        source = timm.create_model(encoder.name, pretrained=True, in_chans=encoder.channels, **encoder.arguments)
    except (OSError, RuntimeError) as error:
        raise RecipeError(
            f"the pretrained weights of the encoder {encoder.name!r} cannot be had; check the network, or name a file"
        ) from error
    weights: dict[str, torch.Tensor] = source.state_dict()
    return weights


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise RecipeError(f"{path}: encoder weights cannot be read ({error}); give a safetensors file") from error
