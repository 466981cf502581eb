"""Build the model of a recipe, with pretrained weights for the parts that have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import timm
import torch
from torch.nn import functional as F

from report_gen.config import AttributeConfig, EncoderConfig, LocationConfig, ModelConfig, ScopeConfig
from report_gen.errors import CheckpointError, RecipeError
from report_gen.model import (
    Encode,
    ImageEncoder,
    Pretrained,
    ReportModel,
    conditioning_type,
    find_checkpoint,
    load_pretrained,
)
from report_gen.records import AttributeName

from ..optimization import (
    add_adapters,
    belongs_to_image,
    checkpoint_activations,
    frozen_parameters,
    is_adapter,
    learning_rates,
)
from ..recipe import Recipe, load_finding_schema, read_image_side
from .size_check import check_sizes
from .volume_weights import read_volume_weights
from .weights_files import check_decoder_folder, read_encoder_weights, read_image_weights

_POSITION_EMBEDDINGS = {"projector.row_embedding", "projector.column_embedding"}
"""Parameters of the image side whose shape depends on the image size."""


def build_model(
    recipe: Recipe,
    vocabulary_size: int,
    *,
    prompt_tokens: int = 0,
    views: int = 1,
    attributes: tuple[AttributeConfig, ...] = (),
    encode: Encode | None = None,
    rows: Sequence[int] | None = None,
) -> ReportModel:
    """Build a model with the recipe's pretrained weights; the rest is initialized randomly from the recipe's seed.

    Args:
        vocabulary_size: Pieces of the tokenizer.
        prompt_tokens: Tokens P of the longest prompt, for which the decoder needs positions.
        views: Largest number of images V of a study, for which the decoder needs positions.
        attributes: Attributes (modality, plane, body part) that the model recognizes, with their values.
        encode: `encode` of the tokenizer, for a model conditioned by `numbers`; without it nothing can be drafted.
        rows: Rows of the pretrained token embeddings to keep, one for each id; None makes new ones.

    Raises:
        RecipeError: Pretrained weights are missing or do not fit the encoder, adapters find no layers, a stage names
            encoder layers that do not exist, the decoder has too few positions, the memory is too small, or the encoder
            or the decoder cannot be built.
        CheckpointError: The pretrained decoder is missing or damaged.
    """
    model = _initialize(recipe, vocabulary_size, attributes, encode, rows)
    if recipe.model.lora is not None:
        add_adapters(model, recipe.model.lora)
    for stage in recipe.stages:
        learning_rates(model, stage.rates)  # check all stages now, not when the last one starts
    _check_positions(model, recipe, prompt_tokens, views)
    if recipe.checkpoint_activations:
        checkpoint_activations(model.decoder.language_model)
    if recipe.compile:
        # Not the language model itself: drafting calls it with a growing cache and would recompile it in every step.
        model.encoder.compile()
        model.decoder.compile(dynamic=True)
    return model


def describe_decoder(model: ReportModel) -> str:
    """Describe in one sentence which decoder weights are pretrained and which are new, for the log and the card."""
    language_model, kept = model.decoder.language_model, len(model.decoder.pretrained)
    if not kept:
        return "The decoder was trained from scratch."
    embeddings = {id(p) for p in language_model.get_input_embeddings().parameters()}
    embeddings |= {id(p) for p in language_model.get_output_embeddings().parameters()}
    named = [(name, p) for name, p in language_model.named_parameters() if not is_adapter(name)]
    new_embeddings = [name for name, p in named if id(p) in embeddings and name not in model.decoder.pretrained]
    crossing = len(named) - kept - len(new_embeddings)
    adapted = "; low-rank adapters were trained in their place" if frozen_parameters(model) else ""
    start = f"{kept} tensors of the decoder are pretrained"
    if new_embeddings:
        also = f", and so are {crossing} tensors of its cross-attention" if crossing else ""
        return f"{start}{adapted}; its token embeddings are new{also}."
    also = f"; {crossing} tensors of its cross-attention are new" if crossing else ""
    return f"{start}, its token embeddings among them{adapted}{also}."


def _initialize(
    recipe: Recipe,
    vocabulary_size: int,
    attributes: tuple[AttributeConfig, ...],
    encode: Encode | None,
    rows: Sequence[int] | None,
) -> ReportModel:
    check_sizes(recipe, vocabulary_size)
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
        notice=chosen.notice,
        conditioning=chosen.conditioning,
        vocabulary_size=vocabulary_size,
        encoder=chosen.encoder,
        preprocessing=chosen.preprocessing,
        volumes=chosen.volumes,
        sequence=chosen.sequence,
        projector=chosen.projector,
        decoder=chosen.decoder.config,
        finding_schema=schema,
        attributes=attributes,
        locations=LocationConfig(trained=(False,) * len(schema.findings)) if chosen.locations else None,
        scope=ScopeConfig(**dict(chosen.scope)),
    )
    if chosen.decoder_weights is None:
        model = _build(config, encode=encode)
    else:
        check_decoder_folder(chosen.decoder_weights)
        pretrained = load_pretrained(
            chosen.decoder_weights,
            vocabulary_size=vocabulary_size,
            cross_attention=conditioning_type(chosen.conditioning).adds_cross_attention,
            rows=rows,
        )
        decoder = config.decoder.model_copy(update={"transformer": pretrained.configuration})
        model = _build(config.model_copy(update={"decoder": decoder}), pretrained=pretrained, encode=encode)
    if chosen.encoder_weights is not None:
        fill_encoder(model.encoder, recipe)
    if chosen.image_folders:
        _fill_image_side(model, recipe)
    return model


def _build(config: ModelConfig, *, encode: Encode | None, pretrained: Pretrained | None = None) -> ReportModel:
    try:
        return ReportModel(config, pretrained=pretrained, encode=encode)
    except CheckpointError as error:  # the model was described by a recipe, not by a checkpoint
        raise RecipeError(f"model: {error}") from error


def _check_positions(model: ReportModel, recipe: Recipe, prompt_tokens: int, views: int) -> None:
    """Check that the longest sequence fits into the decoder; it may otherwise occur only after many steps."""
    visual, key = model.visual_positions(views), model.conditioning.size_key
    longest = recipe.text.max_report_tokens
    needed = visual + prompt_tokens + 1 + longest + 1  # begin and end token
    if needed > model.decoder.positions:
        raise RecipeError(
            f"{visual} visual tokens, {prompt_tokens} prompt tokens and {longest} report tokens "
            f"(text.max_report_tokens) need {needed} positions with begin and end token, but the decoder has "
            f"{model.decoder.positions}; lower text.max_report_tokens or model.projector.{key}, or give the decoder "
            "more positions"
        )


def fill_encoder(encoder: ImageEncoder, recipe: Recipe) -> None:
    """Load the weights that `model.encoder_weights` names.

    Raises:
        RecipeError: The weights cannot be read, or they are those of another encoder.
    """
    backbone, source = encoder.backbone, recipe.model.encoder_weights
    if source == "pretrained":
        config = recipe.model.encoder
        weights = read_volume_weights(config) if config.takes_volumes else _pretrained_weights(config)
    else:
        weights = read_encoder_weights(recipe.resolve(str(source)))
    # The file may also hold the classification head, which the encoder does not have.
    fitting = {name: weights[name] for name in backbone.state_dict() if name in weights}
    try:
        backbone.load_state_dict(fitting)
    except RuntimeError as error:
        raise RecipeError(
            f"{source}: not the weights of the encoder {recipe.model.encoder.name!r}; "
            f"{len(fitting)} of its {len(backbone.state_dict())} tensors are in the file, some with another shape; "
            "use the weights of this encoder"
        ) from error


def _fill_image_side(model: ReportModel, recipe: Recipe) -> None:
    """Load the encoders and the heads of one checkpoint or the mean of several; what depends on the decoder stays new.

    If the image size differs, the position embeddings are interpolated. A sequence encoder that the checkpoint lacks
    stays new, and changes nothing before it is trained.
    """
    folders = [recipe.resolve(name) for name in recipe.model.image_folders]
    image_side = read_image_side(recipe)
    if image_side is not None and _values(image_side) != _values(model.config):
        raise RecipeError(
            f"{folders[0]}: its attributes have different values from those of the training studies; use the same "
            "corpora, or remove attributes"
        )
    wanted = {name: tensor for name, tensor in model.state_dict().items() if belongs_to_image(name)}
    if image_side is not None and image_side.sequence is None:
        wanted = {name: tensor for name, tensor in wanted.items() if not name.startswith("sequence.")}
    sources = [_read_weights(folder, wanted) for folder in folders]
    model.load_state_dict({name: _mean([weights[name] for weights in sources]) for name in wanted}, strict=False)


def _values(config: ModelConfig) -> list[tuple[AttributeName, tuple[str, ...]]]:
    return [(attribute.name, attribute.values) for attribute in config.attributes]


def _read_weights(folder: Path, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read the weights of a checkpoint and check that they include the wanted tensors."""
    weights = read_image_weights(find_checkpoint(folder))
    for name in _POSITION_EMBEDDINGS & weights.keys():
        weights[name] = _interpolate(weights[name], wanted[name].shape)
    unfit = [name for name, tensor in wanted.items() if name not in weights or weights[name].shape != tensor.shape]
    if unfit:
        raise RecipeError(
            f"{folder}: not the image side of this model: {len(unfit)} of its {len(wanted)} tensors are missing or "
            f"have another shape, such as {unfit[0]}; use a checkpoint with the same encoder, findings, attributes and "
            "locations"
        )
    return weights


def _mean(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean of one tensor of several checkpoints; a counter, which is no weight, is that of the first."""
    if not tensors[0].is_floating_point():
        return tensors[0]
    return torch.stack([tensor.float() for tensor in tensors]).mean(0)


def _interpolate(embedding: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Interpolate the position embedding [grid,1,D] of rows or [1,grid,D] of columns to another grid."""
    if embedding.ndim != len(shape) or embedding.shape[-1] != shape[-1]:
        return embedding  # of another encoder, which is refused by its shape
    channels_first = embedding.movedim(-1, 0)[None]  # [1,D,rows,columns]
    resized = F.interpolate(channels_first, size=shape[:-1], mode="bilinear", align_corners=False)
    return resized[0].movedim(0, -1).contiguous()


def _pretrained_weights(encoder: EncoderConfig) -> dict[str, torch.Tensor]:
    if not timm.is_model_pretrained(encoder.name):  # timm would only warn and use random weights
        raise RecipeError(f"timm has no pretrained weights for the encoder {encoder.name!r}; give a weights file")
    try:
        source = timm.create_model(encoder.name, pretrained=True, in_chans=encoder.channels, **encoder.arguments)
    except (OSError, RuntimeError) as error:
        raise RecipeError(
            f"cannot load the pretrained weights of the encoder {encoder.name!r}; check the network, or give a file"
        ) from error
    weights: dict[str, torch.Tensor] = source.state_dict()
    return weights
