"""Refuse a model or a batch that cannot fit into the memory of this machine, before anything is allocated."""

from __future__ import annotations

from typing import Any

import psutil
import torch

from report_gen.errors import CheckpointError, RecipeError
from report_gen.model import build_from_configuration, build_sequence_encoder

from ..recipe import Recipe

_BYTES = 4
"""Bytes of a weight or a pixel in float32."""


def check_sizes(recipe: Recipe, vocabulary_size: int) -> None:
    """Compare the least memory that a recipe needs with the memory of the machine.

    Activations, gradients and the weights of the encoder are not counted: a recipe that passes may still be too large.

    Args:
        recipe: The recipe.
        vocabulary_size: Pieces of the tokenizer.

    Raises:
        RecipeError: The weights, or the pixels of a step, need more memory than the machine has, or transformers cannot
            build the decoder.
    """
    memory = memory_bytes()
    _check_pixels(recipe, memory)
    weights, keys = _count_weights(recipe, vocabulary_size)
    if weights * _BYTES > memory:
        raise RecipeError(
            f"the weights of the model without its image encoder take {_gigabytes(weights * _BYTES)} or more, but this "
            f"machine has {_gigabytes(memory)} of memory; lower {keys}"
        )


def memory_bytes() -> int:
    """Return the size of the memory of this machine."""
    return int(psutil.virtual_memory().total)


def _check_pixels(recipe: Recipe, memory: int) -> None:
    """Check the pixels of a step: all its batches are in memory together, with at least one view per study."""
    encoder = recipe.model.encoder
    study = _BYTES * encoder.channels * encoder.image_size**2
    for index, stage in enumerate(recipe.stages):
        needed = 0 if stage.cached_features else stage.batch_size * stage.accumulate * study
        if needed > memory:
            raise RecipeError(
                f"stages.{index}.batch_size = {stage.batch_size} with accumulate = {stage.accumulate} needs "
                f"{_gigabytes(needed)} for the pixels of a step, but this machine has {_gigabytes(memory)} of memory; "
                "lower batch_size, accumulate or model.encoder.image_size"
            )


def _count_weights(recipe: Recipe, vocabulary_size: int) -> tuple[int, str]:
    """Return the least number of weights of sequence encoder, projector and decoder, and the keys that determine it."""
    weights, keys = _count_decoder(recipe, vocabulary_size)
    sequence = recipe.model.sequence
    if sequence is None:
        return weights, keys
    with torch.device("meta"):
        encoder = build_sequence_encoder(sequence, image_width=1)  # of the least width: no encoder is built yet
    return weights + _count_parameters(encoder), ", or ".join(filter(None, (keys, "width or layers of model.sequence")))


def _count_decoder(recipe: Recipe, vocabulary_size: int) -> tuple[int, str]:
    """Return the least number of weights of projector and decoder, and the keys that determine it."""
    projector, decoder = recipe.model.projector, recipe.model.decoder
    if recipe.model.decoder_weights is not None:
        return 0, ""  # not counted: the size of a pretrained decoder is known only when it is loaded
    if decoder.transformer is not None:
        return _count_transformer(decoder.transformer, vocabulary_size), "the sizes in model.decoder.transformer"
    blocks = decoder.layers * 12 * decoder.width**2  # attention 4 width^2, multi-layer perceptron 8 width^2
    embeddings = (vocabulary_size + decoder.positions + projector.hidden) * decoder.width
    keys = "text.vocabulary_size, model.projector.hidden, or width, layers or positions of model.decoder"
    return blocks + embeddings, keys


def _count_transformer(transformer: dict[str, Any], vocabulary_size: int) -> int:
    """Count the weights of a language model of transformers on torch's device `meta`, which allocates none."""
    try:
        with torch.device("meta"):
            model = build_from_configuration(transformer, vocabulary_size=vocabulary_size, cross_attention=False)
    except CheckpointError as error:  # a recipe, not a checkpoint, describes this model
        raise RecipeError(f"model.decoder.transformer: {error}") from error
    return _count_parameters(model)


def _count_parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:,.1f} GB"
