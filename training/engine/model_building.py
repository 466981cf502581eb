"""A model to train: built to a recipe, its parts filled with weights that exist already."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from report_gen.config import AttributeConfig, EncoderConfig
from report_gen.errors import RecipeError
from report_gen.model import Encode, ModelConfig, ReportModel, conditioning_type, load_pretrained

from ..optimization.adapters import adapt, frozen, is_adapter
from ..optimization.optimizer import learning_rates
from ..recipe.findings import load_finding_schema
from ..recipe.schema import Recipe


def build_model(
    recipe: Recipe,
    vocabulary_size: int,
    *,
    prompt_tokens: int = 0,
    views: int = 1,
    attributes: tuple[AttributeConfig, ...] = (),
    encode: Encode | None = None,
) -> ReportModel:
    """A model with the recipe's initial weights; what is not given starts from noise that the seed decides.

    Args:
        prompt_tokens: P of the longest prompt, and `views` V of the study with most images, that it must have room for.
        attributes: what it tells apart of modality, plane and body part.
        encode: the tokenizer's, for a model that reads numbers; without it nothing can be drafted.

    Raises:
        RecipeError: initial weights are missing or do not fit the encoder, adapters find no layers, a stage speaks of
            layers that are not there, or the decoder has too few positions.
        CheckpointError: the encoder or the decoder cannot be built.
    """
    model = _begin(recipe, vocabulary_size, attributes, encode)
    if recipe.model.lora is not None:
        adapt(model, recipe.model.lora)
    for stage in recipe.stages:
        learning_rates(model, stage.rates)  # what is wrong with the last stage shows now
    _check_positions(model, recipe, prompt_tokens, views)
    if recipe.checkpoint_activations:
        _checkpoint_activations(model)
    if recipe.compile:
        # Not the language model itself: drafting calls it with a growing cache, and would compile it again and again.
        model.encoder.compile()
        model.decoder.compile(dynamic=True)
    return model


def describe_decoder(model: ReportModel) -> str:
    """What of the decoder is pretrained and what is new although it is, in one sentence for a log or a card."""
    language_model, kept = model.decoder.language_model, len(model.decoder.pretrained)
    if not kept:
        return "The decoder begins from scratch."
    words = {id(p) for p in language_model.get_input_embeddings().parameters()}
    words |= {id(p) for p in language_model.get_output_embeddings().parameters()}
    named = [(name, p) for name, p in language_model.named_parameters() if not is_adapter(name)]
    crossing = len(named) - kept - sum(id(p) in words for _, p in named)
    also = f", and so are {crossing} tensors of its cross-attention" if crossing else ""
    adapted = "; adapters learn in their place" if frozen(model) else ""
    return f"{kept} tensors of the decoder are pretrained{adapted}; its words are new{also}."


def _begin(
    recipe: Recipe, vocabulary_size: int, attributes: tuple[AttributeConfig, ...], encode: Encode | None
) -> ReportModel:
    torch.manual_seed(recipe.seed)
    chosen, schema = recipe.model, load_finding_schema(recipe)
    uses_visual_tokens = conditioning_type(chosen.conditioning).uses_visual_tokens
    if uses_visual_tokens and not (schema.findings or chosen.attributes or chosen.projector.patch_tokens):
        raise RecipeError(
            "a model without findings, attributes and patch tokens would not use the image; "
            "set model.projector.patch_tokens"
        )
    config = ModelConfig(
        name=recipe.name,
        conditioning=chosen.conditioning,
        vocabulary_size=vocabulary_size,
        encoder=chosen.encoder,
        projector=chosen.projector,
        decoder=chosen.decoder,
        finding_schema=schema,
        attributes=attributes,
        modalities=chosen.modalities,
        views=chosen.views,
    )
    if chosen.decoder_weights is None:
        model = ReportModel(config, encode=encode)
    else:
        pretrained = load_pretrained(
            chosen.decoder_weights,
            vocabulary_size=vocabulary_size,
            cross_attention=conditioning_type(chosen.conditioning).adds_cross_attention,
        )
        decoder = chosen.decoder.model_copy(update={"transformer": pretrained.model.config.to_diff_dict()})
        model = ReportModel(config.model_copy(update={"decoder": decoder}), pretrained=pretrained, encode=encode)
    if chosen.encoder_weights is not None:
        _fill_encoder(model, recipe)
    return model


def _check_positions(model: ReportModel, recipe: Recipe, prompt_tokens: int, views: int) -> None:
    """Before the first step: the longest report may come at the ten thousandth."""
    visual, key = model.visual_positions(views), model.conditioning.size_key
    places = visual + prompt_tokens + 1 + recipe.text.longest + 1  # begin and end
    if places > model.decoder.positions:
        raise RecipeError(
            f"{visual} tokens of the images, a prompt of {prompt_tokens} and a report of {recipe.text.longest} "
            f"(text.longest) take {places} places with begin and end, but the decoder has {model.decoder.positions}; "
            f"lower text.longest or model.projector.{key}, or give the decoder more positions"
        )


def _checkpoint_activations(model: ReportModel) -> None:
    language_model = model.decoder.language_model
    # transformers is changing the name; both take what torch's checkpoint is called with.
    enable = getattr(language_model, "activation_checkpointing_enable", None)
    try:
        (enable or language_model.gradient_checkpointing_enable)({"use_reentrant": False})
    except ValueError as error:
        raise RecipeError(
            f"a {language_model.config.model_type} decoder must keep its activations; leave checkpoint_activations out"
        ) from error


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
