"""Recipes: unknown, renamed and wrong keys are refused with the key to use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from report_gen_training.recipe import TuningRecipe
from report_gen_training.recipe.explain import explain
from report_gen_training.recipe.loading import RECIPES, RENAMED_KEYS, load_any_recipe, load_recipe
from report_gen_training.recipe.schema import Recipe

from report_gen.errors import RecipeError
from tests.image_steps import step

RECIPE = """
name = "mine"
[model.encoder]
name = "test_vit"
[[corpora]]
name = "images"
path = "images"
[[stages]]
name = "image_encoder"
corpora = ["images"]
steps = 10
rates = { projector = 1e-3 }
[[stages]]
name = "decoder"
corpora = ["images"]
steps = 20
rates = { decoder = 1e-3 }
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(write(tmp_path, RECIPE))


def write(folder: Path, text: str) -> Path:
    file = folder / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_recipe_is_read_with_its_defaults(path: str) -> None:
    recipe = load_recipe(path)
    assert (recipe.name, recipe.seed, recipe.precision) == ("mine", 0, "auto")
    assert [stage.steps for stage in recipe.stages] == [10, 20]
    rates = recipe.stages[0].rates
    assert (rates.encoder, rates.projector, rates.decoder) == (0.0, 1e-3, 0.0)
    assert recipe.resolve("images") == Path("images")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_a_sequence_encoder_is_a_table_of_the_model(tmp_path: Path) -> None:
    recipe = load_recipe(str(write(tmp_path, RECIPE + '[model.sequence]\nkind = "recurrent"\ncell = "gru"\n')))
    assert recipe.model.sequence is not None
    assert (recipe.model.sequence.kind, recipe.model.sequence.cell, recipe.model.sequence.width) == (
        "recurrent",
        "gru",
        256,
    )
    (table,) = [table for table in explain() if table.path == "model.sequence"]
    assert "Off without this table." in table.meaning


def test_locations_need_the_attention_over_each_view(tmp_path: Path) -> None:
    text = RECIPE.replace("[model.encoder]", "[model]\nlocations = true\n[model.encoder]")
    for kind in ("recurrent", "attention"):
        assert load_recipe(str(write(tmp_path, f'{text}[model.sequence]\nkind = "{kind}"\n'))).model.locations
    with pytest.raises(RecipeError, match="locations need the attention over each view"):
        load_recipe(str(write(tmp_path, f'{text}[model.sequence]\nkind = "mean"\n')))


def test_preprocessing_steps_keep_their_order(tmp_path: Path) -> None:
    steps = """
[[model.preprocessing]]
name = "percentiles"
upper = 99
[[model.preprocessing]]
name = "crop_borders"
"""
    recipe = load_recipe(str(write(tmp_path, RECIPE + steps)))
    assert recipe.model.preprocessing == (step("percentiles", upper=99.0), step("crop_borders"))
    changed = load_recipe(str(write(tmp_path, RECIPE + steps)), ['model.preprocessing=[{name="clahe"}]'])
    assert changed.model.preprocessing == (step("clahe"),)


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ('[{name="sharpen"}]', r"model\.preprocessing\.0: .*'sharpen'.*'crop_borders', 'crop_bands', 'median'"),
        ('[{name="median", size=4}]', r"model\.preprocessing\.0\.median\.size: Input should be 3, 5, 7 or 9"),
        ('[{name="clahe", tile=4}]', r"unknown key 'model\.preprocessing\.0\.clahe\.tile'; did you mean 'tiles'\?"),
    ],
)
def test_a_wrong_preprocessing_step_is_refused(path: str, steps: str, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        load_recipe(path, [f"model.preprocessing={steps}"])


@pytest.mark.parametrize("name", [file.stem for file in RECIPES.glob("*.toml")])
def test_every_recipe_of_the_package_is_sound(name: str) -> None:
    recipe = load_any_recipe(name)
    assert recipe.model if isinstance(recipe, TuningRecipe) else recipe.stages


@pytest.mark.parametrize(
    ("setting", "where", "expected"),
    [
        ("seed=7", lambda recipe: recipe.seed, 7),
        ("data=../else where", lambda recipe: recipe.data, "../else where"),
        ("precision='fp32'", lambda recipe: recipe.precision, "fp32"),
        ("stages.1.steps=30", lambda recipe: recipe.stages[1].steps, 30),
        ("stages.0.rates.encoder=2e-5", lambda recipe: recipe.stages[0].rates.encoder, 2e-5),
        ("text.max_report_tokens=99", lambda recipe: recipe.text.max_report_tokens, 99),
        ('corpora.0.exclude=["1", "2"]', lambda recipe: recipe.corpora[0].exclude, ("1", "2")),
        ("model.projector.patch_tokens=all", lambda recipe: recipe.model.projector.patch_tokens, "all"),
        ("stages.0.augment=false", lambda recipe: recipe.stages[0].augment, False),
    ],
)
def test_settings_override_the_file(path: str, setting: str, where: Any, expected: object) -> None:
    assert where(load_recipe(path, [setting])) == expected


def test_a_setting_without_a_value_removes_the_key(path: str) -> None:
    assert load_recipe(path, ["seed=7", "seed="]) == load_recipe(path)
    with pytest.raises(RecipeError, match="name: Field required"):
        load_recipe(path, ["name="])


def test_the_last_setting_wins(path: str) -> None:
    assert load_recipe(path, ["seed=1", "seed=2"]).seed == 2


def test_a_misspelled_key_is_named_though_the_right_one_is_missing(path: str) -> None:
    with pytest.raises(RecipeError, match=r"unknown key 'stages\.0\.stpes'; did you mean 'steps'\?"):
        load_recipe(path, ["stages.0.stpes=2000", "stages.0.steps="])


def test_names_of_a_scope_may_have_any_case(path: str) -> None:
    scope = load_recipe(path, ['model.scope={modalities=["cr"], body_parts=["Chest"], views=["pa"]}']).model.scope
    assert (scope.modalities, scope.body_parts, scope.views) == (("CR",), ("chest",), ("PA",))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ('model.scope={body_parts=["knne"]}', "model.scope: body part 'knne' is not known; choose from abdomen, "),
        ("sede=1", "unknown key 'sede'; did you mean 'seed'?"),
        ("stages.0.batchsize=2", "unknown key 'stages.0.batchsize'; did you mean 'batch_size'?"),
        ("model.decoder.layer=2", "unknown key 'model.decoder.layer'; did you mean 'layers'?"),
        ("qqqq=1", "unknown key 'qqqq'; report-gen train --explain lists the keys"),
        ("seed=many", "seed: Input should be a valid integer"),
        ("stages.0.steps=0", "stages.0.steps: Input should be greater than or equal to 1"),
        ('model.attributes=["plane", "plane"]', "model: attributes has duplicates: plane, plane; list each once"),
        ('model.attributes=["side"]', "model.attributes.0: Input should be 'modality', 'plane' or 'body_part'"),
        ("model.encoder.image_size=8", "model.encoder.image_size: Input should be greater than or equal to 32"),
        ("precision=fp64", "precision: Input should be 'auto', 'fp32' or 'bf16'"),
        ("stages=[]", "stages: Tuple should have at least 1 item"),
        ('stages.1.corpora=["image"]', "recipe: stage 'decoder': no corpus 'image'; choose from images"),
        ("stages.1.name='image_encoder'", "stages have duplicate names: image_encoder, image_encoder"),
        ("model.decoder.heads=3", "model.decoder: 3 heads cannot share a width of 256"),
        ("seed", "--set seed: write key=value"),
        ("stages.2.steps=1", "--set stages.2.steps=1: the recipe has no such key"),
        ("stages.first.steps=1", "the recipe has no such key"),
        ("name.x=1", "the recipe has no such key"),
        ("name.x.y=1", "the recipe has no such key"),
    ],
)
def test_invalid_settings_are_refused(path: str, setting: str, message: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe(path, [setting])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


OLD_KEYS = {
    "corpora.0.recombined": "augmented_texts",
    "text.reconcile": "drop_contradictions",
    "text.longest": "max_report_tokens",
    "stages.1.rarity": "rare_finding_weight",
    "stages.1.forget_states": "state_dropout",
    "stages.1.forget_attributes": "attribute_dropout",
    "stages.1.forget_indication": "indication_dropout",
    "stages.1.average": "ema_decay",
    "stages.1.reward.weight": "scst",
    "stages.1.scst.findings": "finding_f1_weight",
    "stages.1.scst.cider": "cider_weight",
    "stages.1.choose_by": "checkpoint_metric",
    "stages.1.drafts": "validation_drafts",
    "stages.1.fewest_distinct": "min_distinct",
    "model.modalities": "scope.modalities",
    "model.views": "scope.views",
}


@pytest.mark.parametrize(("old", "new"), OLD_KEYS.items())
def test_a_key_of_version_0_1_is_refused_with_its_new_name(path: str, old: str, new: str) -> None:
    key = old.removesuffix(".weight")
    message = rf"mine\.toml: the key '{re.escape(key)}' is now called '{new}'; rename it$"
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, [f"{old}=1", "sede=1"])  # a renamed key is named first
    names = {name for table in explain() for name in (table.name, *(key.name for key in table.keys))}
    assert new.rpartition(".")[2] in names


def test_every_renamed_key_is_tested() -> None:
    tested = {
        re.sub(r"^(text|corpora\.0|stages\.1)\.", "", old.removesuffix(".weight")): new for old, new in OLD_KEYS.items()
    }
    assert tested == RENAMED_KEYS


def test_all_keys_of_version_0_1_are_named_in_one_message(path: str) -> None:
    with pytest.raises(RecipeError) as refused:
        load_recipe(path, ["text.longest=1", "stages.0.drafts=1"])
    assert str(refused.value).endswith(
        "the key 'text.longest' is now called 'max_report_tokens', "
        "the key 'stages.0.drafts' is now called 'validation_drafts'; rename them"
    )


def test_the_encoder_cannot_be_trained_through_numbers(path: str) -> None:
    numbers, no_head_loss = "model.conditioning=numbers", "stages.0.finding_weight=0"
    assert load_recipe(path, [numbers]).model.conditioning == "numbers"  # the finding loss trains the projector
    with pytest.raises(
        RecipeError, match="report loss gives encoder and projector no gradient through numbers; remove"
    ):
        load_recipe(path, [numbers, no_head_loss])


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"mine\.toml: model: Field required"):
        load_recipe(str(write(tmp_path, RECIPE.replace('[model.encoder]\nname = "test_vit"', ""))))


@pytest.mark.parametrize("text", ["name = ", "name = 'a'\nname = 'b' "])
def test_a_file_that_is_not_toml_is_refused_with_the_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match=r"mine\.toml: not valid TOML \(.* \(at "):
        load_recipe(str(write(tmp_path, text)))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"mine\.toml: not valid TOML"):
        load_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize("name", ["no-such-recipe", "no/such/file.toml", "."])
def test_an_unknown_recipe_lists_the_packaged_ones(name: str) -> None:
    with pytest.raises(RecipeError, match=r"no such recipe; give a TOML file or one of .*chest_xray"):
        load_recipe(name)


def test_a_comparison_is_no_section_of_training_texts(tmp_path: Path) -> None:
    text = RECIPE.replace("[model.encoder]", '[text]\nsections = ["COMPARISON"]\n[model.encoder]', 1)
    with pytest.raises(RecipeError, match=r"text\.sections.*FINDINGS"):
        load_recipe(str(write(tmp_path, text)))
