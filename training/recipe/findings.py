"""Load the finding schema of a recipe."""

from __future__ import annotations

from report_gen.errors import RecipeError, UsageError
from report_gen.labeling import NO_FINDINGS, built_in_schemas, load_schema
from report_gen.records import FindingSchema

from .schema import Recipe


def load_finding_schema(recipe: Recipe) -> FindingSchema:
    """Load the finding schema of a recipe: a built-in one, none, or that of a findings file relative to its data.

    Raises:
        RecipeError: The findings file cannot be read or its content is wrong.
    """
    name = recipe.findings
    try:
        return load_schema(name if name in (NO_FINDINGS, *built_in_schemas()) else recipe.resolve(name))
    except UsageError as error:
        raise RecipeError(f"findings: {error}") from error
