"""Settings of an image generator, with defaults for a CPU of two cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

import pydantic
from pydantic import Field, model_validator

from report_gen.config import FrozenModel
from report_gen.errors import UsageError
from report_gen.word_lists import join_words

GROUPS = 8
"""Groups of the group normalization; the channels are a multiple."""
FOLD = 2
"""Side of the blocks of pixels that become channels, which makes the network four times cheaper than on pixels."""


class GeneratorRecipe(FrozenModel):
    size: int = Field(default=64, ge=16, le=256)
    """Side of the images, pixels: a multiple of 8."""
    channels: tuple[int, ...] = (32, 64, 128)
    """Channels of the U-Net at each resolution, from the finest to the coarsest: multiples of 8."""
    steps: int = Field(default=10_000, ge=1, le=100_000_000)
    """Optimizer steps."""
    batch_size: int = Field(default=64, ge=1, le=4096)
    """Images per step."""
    learning_rate: float = Field(default=4e-4, gt=0, le=1)
    """Highest learning rate of AdamW. It rises during the first hundredth of the steps and falls along a cosine."""
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the moving average of the weights, which draws the images."""
    label_dropout: float = Field(default=0.15, gt=0, lt=1)
    """Share of the images whose labels are hidden, so that guidance can compare with the unconditional model
    (Ho and Salimans, 2022, arXiv:2207.12598)."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the U-Net in training; `auto` measures at the start whether bf16 is faster."""
    save_every: int = Field(default=250, ge=1)
    """Steps between two saved states, from which an interrupted training continues."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Seed of the initial weights, the order of the images and the noise."""

    @model_validator(mode="after")
    def _check(self) -> GeneratorRecipe:
        if not self.channels or any(count % GROUPS or not 0 < count <= 1024 for count in self.channels):
            raise ValueError(f"channels: give multiples of {GROUPS} up to 1024, such as [32, 64, 128]")
        if self.size % (FOLD * 2 ** (len(self.channels) - 1)):
            unit = FOLD * 2 ** (len(self.channels) - 1)
            raise ValueError(f"size: with {len(self.channels)} resolutions the side must be a multiple of {unit}")
        return self


def generator_recipe(settings: Sequence[str]) -> GeneratorRecipe:
    """Return the recipe with `KEY=VALUE` settings applied.

    Raises:
        UsageError: A key is unknown, or its value is wrong.
    """
    values = dict[str, Any]()
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write KEY=VALUE")
        values[key] = [part for part in value.strip("[]").split(",") if part.strip()] if key == "channels" else value
    try:
        return GeneratorRecipe.model_validate(values)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            raise UsageError(f"--set {key}: no such key; use {', '.join(GeneratorRecipe.model_fields)}") from error
        if fault["type"] == "value_error":  # of `_check`, which names the key
            raise UsageError(f"--set {fault['msg'].removeprefix('Value error, ')}") from error
        name = key.partition(".")[0]
        raise UsageError(f"--set {name}={fault['input']}: {_expected(name)}, such as {_default(name)}") from error


def describe_setting(recipe: GeneratorRecipe, name: str) -> str:
    """Return a setting of a recipe as `--set` takes it, such as "channels=32,64,128"."""
    value = getattr(recipe, name)
    return f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}"


def _default(name: str) -> str:
    return describe_setting(GeneratorRecipe(), name).partition("=")[2]


def _expected(name: str) -> str:
    """Return which values a setting may have."""
    field = GeneratorRecipe.model_fields[name]
    if get_origin(field.annotation) is Literal:
        return f"write one of {', '.join(get_args(field.annotation))}"
    kind = "a whole number" if field.annotation is int else "a number"
    if name == "channels":
        kind = "whole numbers with commas"
    words = {"ge": "of at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{word} {getattr(one, key)}" for key, word in words.items() for one in field.metadata if hasattr(one, key)
    ]
    return " ".join(filter(None, (f"write {kind}", join_words(bounds))))
