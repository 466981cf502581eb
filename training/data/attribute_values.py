"""Choose the modalities, planes and body parts that a model learns to recognize from its training studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from report_gen.config import AttributeConfig
from report_gen.errors import RecipeError
from report_gen.records import AttributeName

from ..recipe import ModelRecipe
from .example_store import Examples


def choose_attributes(recipe: ModelRecipe, examples: Examples) -> tuple[AttributeConfig, ...]:
    """Choose the values of each attribute that have enough training studies with images, in sorted order.

    Raises:
        RecipeError: An attribute has fewer than two such values, so it cannot be learned.
    """
    chosen = ((name, tuple(_frequent_values(name, recipe, examples))) for name in recipe.attributes)
    return tuple(AttributeConfig(name=name, values=values) for name, values in chosen)


def _frequent_values(name: AttributeName, recipe: ModelRecipe, examples: Examples) -> Iterator[str]:
    counts: Counter[str] = sum((splits["train"].attribute_counts(name) for splits in examples.values()), Counter())
    values = sorted(value for value, count in counts.items() if count >= recipe.attribute_support)
    if len(values) < 2:
        raise RecipeError(
            f"model.attributes names {name!r}, but only {len(values)} of its values have "
            f"{recipe.attribute_support} training studies with images, and at least 2 are needed; remove it from "
            "model.attributes, or lower model.attribute_support"
        )
    yield from values
