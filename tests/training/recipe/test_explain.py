"""Every key of a recipe is explained, also on a narrow terminal."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from report_gen_training.recipe import CorpusRecipe, LoraRecipe, Rates, Recipe, ScstRecipe, StageRecipe, TuningRecipe
from report_gen_training.recipe.explain import Key, explain, render_keys
from report_gen_training.recipe.loading import RECIPES
from rich.console import Console

from report_gen.config import DecoderConfig, EncoderConfig, ProjectorConfig

TABLES: dict[str, type[BaseModel]] = {
    "model.encoder": EncoderConfig,
    "model.projector": ProjectorConfig,
    "model.decoder": DecoderConfig,
    "model.lora": LoraRecipe,
    "corpora": CorpusRecipe,
    "stages": StageRecipe,
    "stages.rates": Rates,
    "stages.scst": ScstRecipe,
}


@pytest.fixture(scope="module")
def keys() -> dict[str, Key]:
    return {f"{table.path}.{key.name}".strip("."): key for table in explain() for key in table.keys}


def test_every_field_is_a_key_with_a_meaning(keys: dict[str, Key]) -> None:
    paths = {table.path for table in explain()}
    fields = {f"{path}.{name}" for path, record in TABLES.items() for name in record.model_fields}
    assert fields | set(Recipe.model_fields) <= keys.keys() | paths
    assert [path for path, key in keys.items() if not key.meaning] == []
    assert [table.path for table in explain() if table.path and not table.meaning] == []


def test_the_keys_of_a_fine_tuning_have_a_meaning() -> None:
    tables = list(explain(TuningRecipe))
    assert {table.path for table in tables} == {"", "corpora", "text", "lora"}
    assert {key.name for key in tables[0].keys} | {"corpora", "text", "lora"} == set(TuningRecipe.model_fields)
    assert all(key.meaning for table in tables for key in table.keys)
    assert {key.name: key.default for key in tables[0].keys}["batch_size"] == "1"


@pytest.mark.parametrize(
    ("path", "kind", "default"),
    [
        ("name", "string", "required"),
        ("compile", "boolean", "false"),
        ("precision", '"auto" or "fp32" or "bf16"', '"auto"'),
        ("cache", "string", "none"),
        ("text.sections", 'array of "FINDINGS" or "IMPRESSION"', '["FINDINGS"]'),
        ("corpora.exclude", "array of string", "[]"),
        ("model.encoder.arguments", "table", "{}"),
        ("model.projector.patch_tokens", 'integer >= 0 and <= 4_096 or "all"', "16"),
        ("stages.batch_size", "integer >= 1 and <= 65_536", "16"),
        ("stages.warmup", "float >= 0 and < 1", "0.05"),
        ("stages.rates.encoder_layers", "integer >= 1 and <= 4_096", "none"),
    ],
)
def test_type_and_default_are_shown_as_toml(keys: dict[str, Key], path: str, kind: str, default: str) -> None:
    assert (keys[path].kind, keys[path].default) == (kind, default)


def test_every_preprocessing_step_has_a_table_after_one_for_all(keys: dict[str, Key]) -> None:
    common, *steps = (table for table in explain() if table.path == "model.preprocessing")
    assert (common.keys, common.repeated) == ((), True)
    assert "in order" in common.meaning
    assert [step.keys[0].kind for step in steps] == [
        '"crop_borders"',
        '"crop_bands"',
        '"median"',
        '"non_local_means"',
        '"clahe"',
        '"percentiles"',
    ]
    assert {step.keys[0].default for step in steps} == {"required"}
    assert len({step.meaning for step in steps}) == 6
    assert (keys["model.preprocessing.size"].kind, keys["model.preprocessing.size"].default) == (
        "3 or 5 or 7 or 9",
        "3",
    )


def test_eighty_columns_show_every_key_whole_under_its_table() -> None:
    console = Console(width=80, file=io.StringIO())
    console.print(render_keys())
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    starts = [line.split(maxsplit=1)[0] for line in lines if line and not line.startswith(" ")]
    tables = (("[[stages]]", "batch_size"), ("[stages.rates]", "encoder_decay"), ("[text]", "max_report_tokens"))
    for header, name in tables:
        assert name in starts[starts.index(header) :]
    assert "checkpoint_activations" in starts


NAMED_BY_USER = (
    "corpora.source_weights",
    "decisions.attribute_accuracy",
    "decisions.attribute_thresholds",
    "model.encoder.arguments",
    "recognizer.sources.where",
)
"""Keys whose values are tables, the names in which the user chooses."""


def test_the_keys_of_the_packaged_recipes_are_explained(keys: dict[str, Key]) -> None:
    def paths(tree: Any, path: str = "") -> Iterator[str]:
        if isinstance(tree, list):
            for item in tree:
                yield from paths(item, path)
        elif isinstance(tree, dict) and path not in NAMED_BY_USER:
            for name, value in tree.items():
                yield from paths(value, f"{path}.{name}".strip("."))
        else:
            yield path

    tuning = {f"{table.path}.{key.name}".strip(".") for table in explain(TuningRecipe) for key in table.keys}
    for recipe in RECIPES.glob("*.toml"):
        content = tomllib.loads(recipe.read_text(encoding="utf-8"))
        assert set(paths(content)) <= (tuning if isinstance(content["model"], str) else keys.keys())
