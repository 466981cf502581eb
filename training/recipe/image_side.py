"""Read the configuration of the checkpoint whose encoder and heads a recipe starts from."""

from __future__ import annotations

from pathlib import Path

from report_gen.config import ModelConfig, VolumeConfig, WindowName
from report_gen.errors import CheckpointError, RecipeError
from report_gen.model import read_config

from .findings import load_finding_schema
from .schema import Recipe


def read_image_side(recipe: Recipe) -> ModelConfig | None:
    """Return the configuration of the first checkpoint that `model.image_weights` names; None if it names none.

    Raises:
        RecipeError: A checkpoint is missing or damaged, or it differs from the recipe in the encoder, the
            preprocessing, the findings, the use of locations or the sequence encoder. The image size may differ, and a
            checkpoint without sequence encoder can be extended by one.
    """
    configs = [_read_config(recipe, recipe.resolve(name)) for name in recipe.model.image_folders]
    return configs[0] if configs else None


def _read_config(recipe: Recipe, folder: Path) -> ModelConfig:
    try:
        config = read_config(folder)
    except CheckpointError as error:
        raise RecipeError(f"model.image_weights: {error}") from error
    encoder = recipe.model.encoder.model_copy(update={"image_size": config.encoder.image_size})
    differing = [
        name
        for name, ours, theirs in (
            ("encoder", encoder, config.encoder),
            ("preprocessing", recipe.model.preprocessing, config.preprocessing),
            ("volumes.windows", _windows(recipe.model.volumes), _windows(config.volumes)),
            ("findings", load_finding_schema(recipe).findings, config.finding_schema.findings),
            ("locations", recipe.model.locations, config.locations is not None),
            ("sequence", recipe.model.sequence, config.sequence or recipe.model.sequence),
        )
        if ours != theirs
    ]
    if differing:
        raise RecipeError(
            f"model.image_weights: the model in {folder} differs in {', '.join(differing)}; use the settings of its "
            "recipe, or another checkpoint"
        )
    return config


def _windows(volumes: VolumeConfig | None) -> tuple[WindowName, ...] | None:
    return None if volumes is None else volumes.windows
