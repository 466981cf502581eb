"""Which modalities, planes and body parts a model learns to tell apart: those of its training studies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from report_gen.config import AttributeConfig
from report_gen.errors import RecipeError
from report_gen.records.report import AttributeName

from ..recipe.schema import ModelRecipe
from .example_store import Examples


def choose_attributes(recipe: ModelRecipe, examples: Examples) -> tuple[AttributeConfig, ...]:
    """The attributes of the recipe, each with the values that enough training studies with images have, sorted.

    Raises:
        RecipeError: an attribute has fewer than two such values, so there is nothing to tell apart.
    """
    chosen = ((name, tuple(_values(name, recipe, examples))) for name in recipe.attributes)
    return tuple(AttributeConfig(name=name, values=values) for name, values in chosen)


def _values(name: AttributeName, recipe: ModelRecipe, examples: Examples) -> Iterator[str]:
    counts: Counter[str] = sum((splits["train"].attribute_counts(name) for splits in examples.values()), Counter())
    values = sorted(value for value, count in counts.items() if count >= recipe.attribute_support)
    if len(values) < 2:
        raise RecipeError(
            f"model.attributes names {name!r}, but {len(values)} values of it have {recipe.attribute_support} training "
            "studies with images, and two are needed; leave it out, or lower model.attribute_support"
        )
    yield from values
