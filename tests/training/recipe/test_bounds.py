"""Hostile recipes: numbers beyond their bounds, names that leave `runs/`, files without an end, nesting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from report_gen_training.recipe.loading import load_recipe

from report_gen.errors import RecipeError

RECIPE = """
name = "mine"
[model.encoder]
name = "test_vit"
[[corpora]]
name = "images"
path = "images"
[[stages]]
name = "all"
corpora = ["images"]
steps = 10
rates = { decoder = 1e-3 }
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "mine.toml"
    file.write_text(RECIPE, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("key", "bound"),
    [
        ("text.vocabulary_size", 1_000_000),
        ("text.max_report_tokens", 1_000_000),
        ("model.encoder.image_size", 4096),
        ("model.encoder.channels", 256),
        ("model.projector.hidden", 32_768),
        ("model.projector.patch_tokens", 4096),
        ("model.projector.numbers", 4096),
        ("model.decoder.width", 32_768),
        ("model.decoder.layers", 256),
        ("model.decoder.heads", 32_768),
        ("model.decoder.positions", 16_384),
        ("model.lora.rank", 4096),
        ("model.scope.max_images", 4096),
        ("stages.0.steps", 1_000_000_000),
        ("stages.0.batch_size", 65_536),
        ("stages.0.accumulate", 65_536),
        ("stages.0.cached_features", 1000),
        ("stages.0.validate_every", 1_000_000_000),
        ("stages.0.validation_drafts", 1_000_000_000),
        ("stages.0.patience", 1_000_000_000),
        ("stages.0.rates.encoder_layers", 4096),
        ("corpora.0.augmented_texts", 10_000_000),
        ("recognizer.drawn", 10_000),
        ("recognizer.grid", 64),
        ("workers", 256),
        ("save_minutes", 525_600),
        ("seed", 2**64 - 1),
    ],
)
def test_a_number_above_its_bound_or_below_zero_is_refused_with_both(path: str, key: str, bound: int) -> None:
    for value in (bound + 1, 10**18, 10**100):
        if value > bound:
            with pytest.raises(RecipeError, match=rf"{key}: Input should be less than or equal to {bound}$"):
                load_recipe(path, [f"{key}={value}"])
    with pytest.raises(RecipeError, match=rf"{key}: Input should be greater than or equal to \d+$"):
        load_recipe(path, [f"{key}=-5"])


def test_a_seed_has_64_bits(path: str) -> None:
    assert load_recipe(path, [f"seed={2**64 - 1}"]).seed == 2**64 - 1


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "key",
    [
        "save_minutes",
        "stages.0.rates.decoder",
        "stages.0.clip",
        "stages.0.weight_decay",
        "stages.0.finding_weight",
        "stages.0.scst.temperature",
        "model.encoder.mean",
        "model.encoder.std",
        "model.lora.alpha",
        "model.scope.max_age",
        "augmentation.noise",
    ],
)
def test_a_number_that_is_not_finite_is_refused(path: str, key: str, value: str) -> None:
    with pytest.raises(RecipeError, match=rf"{key}: Input should be (a finite number|(less|greater) than .*)$"):
        load_recipe(path, [f"{key}={value}"])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../../x", "contains a slash"),
        ("/somewhere/x", "contains a slash"),
        ("a/b", "contains a slash"),
        ("a\\\\b", "contains a slash"),
        ("c:x", "contains a slash or a colon"),
        ("..", "begins or ends with a dot"),
        (".", "begins or ends with a dot"),
        ("", "is empty"),
        (" x", "begins or ends with a dot or a space"),
        (".hidden", "begins or ends with a dot"),
        ("x" * 201, "has more than 200 bytes"),
        ("\u00e9" * 101, "has more than 200 bytes"),
        ("a\\u001b[31mb", "contains a control character"),
        ("a\\nb", "contains a control character"),
        ("a\\u202eb", "contains a control character or an invisible one"),
        ("a\\u0000b", "contains a NUL character"),
        ("nul", "is reserved by Windows"),
        ("COM1.txt", "is reserved by Windows"),
    ],
)
def test_a_name_that_is_no_folder_name_is_refused(path: str, name: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=rf"name: .*{problem}") as raised:
        load_recipe(path, [f'name="{name}"'])
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", ["mine", "chest-xray-3", "Thorax R\u00f6ntgen (v2.1)", "x" * 200])
def test_other_names_are_kept(path: str, name: str) -> None:
    assert load_recipe(path, [f'name="{name}"']).name == name


@pytest.mark.parametrize("key", ["corpora.0.name", "corpora.0.layout", "stages.0.name", "stages.0.corpora.0"])
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("x" * 201, "has more than 200 bytes"),
        ("a\\nreport-gen: notice: forged", "contains a control character"),
        ("a\\u001b]0;x\\u0007", "contains a control character"),
        ("a\\u202eb", "contains a control character or an invisible one"),
        ("a\\u2028b", "contains a control character or an invisible one"),
    ],
)
def test_the_name_of_a_part_that_could_forge_a_message_is_refused(path: str, key: str, name: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=rf"{key}: .*{problem}") as raised:
        load_recipe(path, [f'{key}="{name}"'])
    assert str(raised.value).isprintable()


def test_the_name_of_a_part_may_have_any_visible_characters(path: str) -> None:
    name = "Stufe 1: K\u00f6pfe / \u5934"
    assert load_recipe(path, [f'stages.0.name="{name}"']).stages[0].name == name


def test_text_that_recipe_json_cannot_store_is_refused(path: str) -> None:
    for key in ("card", "data", "corpora.0.path"):
        with pytest.raises(RecipeError, match=rf"{key}: contains a NUL character or bytes that are not UTF-8"):
            load_recipe(path, [f'{key}="a\\u0000b"'])
        with pytest.raises(RecipeError, match=rf"{key}: contains a NUL character or bytes that are not UTF-8"):
            load_recipe(path, [os.fsdecode(f"{key}=a".encode() + b"\xff")])


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 100_000, "{a=" * 100_000])
def test_a_value_that_cannot_be_parsed_is_refused(path: str, value: str) -> None:
    with pytest.raises(RecipeError, match="seed: "):
        load_recipe(path, [f"seed={value}"])
    Path(path).write_text(f"seed = {value}\n{RECIPE}")
    with pytest.raises(RecipeError, match=r"mine\.toml: not valid TOML \("):
        load_recipe(path)


def test_files_that_have_no_end_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    with (tmp_path / "large.toml").open("wb") as file:
        file.truncate(2**40)  # a sparse file
    for name, problem in (("pipe.toml", "not a regular file"), ("large.toml", "has more than 1 MiB")):
        with pytest.raises(RecipeError, match=f"{name}: {problem}"):
            load_recipe(str(tmp_path / name))
    with pytest.raises(RecipeError, match="/dev/zero: not a regular file"):
        load_recipe("/dev/zero")
