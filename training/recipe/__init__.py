"""Recipes: the schema of a training run, loading from TOML, and the explanation of its keys. Imports no torch."""

from .corpus import CorpusRecipe
from .decisions import DecisionRecipe
from .explain import Key, KeyTable, explain, render_keys
from .findings import load_finding_schema
from .image_side import read_image_side
from .loading import RECIPES, RENAMED_KEYS, describe_renamed_keys, load_recipe
from .model import LoraRecipe, ModelRecipe
from .recognizer import RecognizerRecipe, RecognizerSource
from .schema import (
    AugmentationRecipe,
    Rates,
    Recipe,
    ScstRecipe,
    StageRecipe,
    TextRecipe,
)

__all__ = [
    "RECIPES",
    "RENAMED_KEYS",
    "AugmentationRecipe",
    "CorpusRecipe",
    "DecisionRecipe",
    "Key",
    "KeyTable",
    "LoraRecipe",
    "ModelRecipe",
    "Rates",
    "Recipe",
    "RecognizerRecipe",
    "RecognizerSource",
    "ScstRecipe",
    "StageRecipe",
    "TextRecipe",
    "describe_renamed_keys",
    "explain",
    "load_finding_schema",
    "load_recipe",
    "read_image_side",
    "render_keys",
]
