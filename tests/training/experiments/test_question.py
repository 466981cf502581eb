"""Experiments are read from TOML with the recipes of their runs; mistakes end in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.experiments.question import FOLDER, load_question
from report_gen_training.experiments.trials import plan_trials

from report_gen.errors import RecipeError

RECIPE = """
name = "tiny"
[[corpora]]
name = "images"
path = "images"
hold_out = 0.2
[model.encoder]
name = "test_vit"
[[stages]]
name = "all"
corpora = ["images"]
steps = 6
rates = { decoder = 1e-3 }
"""
QUESTION = """
title = "Does it matter?"
recipe = "base.toml"
corpus = "images"
[[runs]]
name = "plain"
[[runs]]
name = "sampled"
decoding = { method = "sample" }
[[runs]]
name = "cross"
set = ["model.conditioning=cross_attention"]
"""


def write(folder: Path, question: str = QUESTION, recipe: str = RECIPE) -> str:
    (folder / "base.toml").write_text(recipe, encoding="utf-8")
    (folder / "question.toml").write_text(question, encoding="utf-8")
    return str(folder / "question.toml")


@pytest.mark.parametrize("name", [path.stem for path in FOLDER.glob("*.toml") if "[[runs]]" in path.read_text()])
def test_the_recipes_of_every_packaged_experiment_are_valid(name: str, tmp_path: Path) -> None:
    trials = plan_trials(load_question(name), [0], tmp_path)
    assert len({trial.recipe.model_dump_json() for trial in trials}) == len({trial.training for trial in trials})


def test_runs_with_equal_recipes_are_trained_once_per_seed(tmp_path: Path) -> None:
    settings = ["name=mine", "model.conditioning=prefix"]
    trials = plan_trials(load_question(write(tmp_path)), [3, 4], tmp_path / "out", settings)
    assert [(trial.run, trial.seed) for trial in trials] == [
        (run, seed) for seed in (3, 4) for run in ("plain", "sampled", "cross")
    ]
    assert all(trial.recipe.name == "mine" and trial.recipe.seed == trial.seed for trial in trials)
    plain, sampled, cross = trials[:3]
    assert plain.training == sampled.training == tmp_path / "out" / "plain" / "seed-3" / "run"
    assert cross.training == tmp_path / "out" / "cross" / "seed-3" / "run"
    assert (plain.decoding.method, sampled.decoding.method) == ("greedy", "sample")
    assert plain.folder != sampled.folder
    assert plain.recipe.model.conditioning == "prefix"
    assert cross.recipe.model.conditioning == "cross_attention"


@pytest.mark.parametrize(
    ("question", "recipe", "message"),
    [
        (QUESTION.replace("images", "scans"), RECIPE, "no corpus 'scans' to evaluate on; it has images"),
        (QUESTION, RECIPE.replace("hold_out = 0.2", ""), "run 'plain': split 'val' of 'images' selects the weights"),
        (QUESTION.replace("cross_attention", "crosss"), RECIPE, r"run 'cross': .*model\.conditioning"),
        (QUESTION.replace('"cross"', '"plain"'), RECIPE, "runs have duplicate names: plain, sampled, plain"),
        (QUESTION.replace('"cross"', '"../cross"'), RECIPE, r"runs\.2\.name: String should match"),
        (QUESTION.replace("title", "titel"), RECIPE, "title: Field required"),
        (QUESTION.replace("method", "methode"), RECIPE, r"runs\.1\.decoding\.methode"),
        (QUESTION.replace("base.toml", "other.toml"), RECIPE, r"run 'plain': .*other\.toml: no such recipe"),
        (QUESTION.split("[[runs]]")[0], RECIPE, "runs: Field required"),
        ("title = ", RECIPE, "not valid TOML"),
    ],
)
def test_mistakes_end_in_one_sentence(question: str, recipe: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        plan_trials(load_question(write(tmp_path, question, recipe)), [0], tmp_path)


def test_an_unknown_experiment_lists_the_packaged_ones() -> None:
    with pytest.raises(RecipeError, match=r"colors: no such experiment; give a TOML file or one of .*conditioning"):
        load_question("colors")
