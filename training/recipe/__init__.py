"""Recipes: the schema of a training run, loading from TOML, and the explanation of its keys. Imports no torch."""

from .adapter_tuning import LoraSettings, ModelPart, TuningRecipe, TuningText
from .corpus import CorpusRecipe, CorpusSource
from .decisions import DecisionRecipe
from .explain import Key, KeyTable, explain, render_keys
from .findings import load_finding_schema
from .image_side import read_image_side
from .loading import RECIPES, RENAMED_KEYS, describe_renamed_keys, load_any_recipe, load_recipe
from .model import LoraRecipe, ModelRecipe
from .recognizer import RecognizerRecipe, RecognizerSource
from .run_settings import RunSettings
from .schema import (
    AugmentationRecipe,
    Rates,
    Recipe,
    ScstRecipe,
    StageRecipe,
    TextRecipe,
)
from .training_steps import TrainingSteps

__all__ = [
    "RECIPES",
    "RENAMED_KEYS",
    "AugmentationRecipe",
    "CorpusRecipe",
    "CorpusSource",
    "DecisionRecipe",
    "Key",
    "KeyTable",
    "LoraRecipe",
    "LoraSettings",
    "ModelPart",
    "ModelRecipe",
    "Rates",
    "Recipe",
    "RecognizerRecipe",
    "RecognizerSource",
    "RunSettings",
    "ScstRecipe",
    "StageRecipe",
    "TextRecipe",
    "TrainingSteps",
    "TuningRecipe",
    "TuningText",
    "describe_renamed_keys",
    "explain",
    "load_any_recipe",
    "load_finding_schema",
    "load_recipe",
    "read_image_side",
    "render_keys",
]
