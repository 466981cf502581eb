"""Questions: read from TOML, with the recipes of their runs, and refused in a sentence where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.experiments.question import FOLDER, load_question
from report_gen_training.experiments.trials import plan

from report_gen.errors import RecipeError

RECIPE = """
name = "tiny"
[[corpora]]
name = "films"
path = "films"
hold_out = 0.2
[model.encoder]
name = "test_vit"
[[stages]]
name = "all"
corpora = ["films"]
steps = 6
rates = { decoder = 1e-3 }
"""
QUESTION = """
title = "Does it matter?"
recipe = "base.toml"
corpus = "films"
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
def test_the_recipes_of_every_question_can_be_run(name: str, tmp_path: Path) -> None:
    trials = plan(load_question(name), [0], tmp_path)
    assert len({trial.recipe.model_dump_json() for trial in trials}) == len({trial.training for trial in trials})


def test_runs_with_equal_recipes_are_trained_once_a_seed(tmp_path: Path) -> None:
    trials = plan(load_question(write(tmp_path)), [3, 4], tmp_path / "out", ["name=mine", "model.conditioning=prefix"])
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
        (QUESTION.replace("films", "filme"), RECIPE, "no corpus 'filme' to evaluate by; there are films"),
        (QUESTION, RECIPE.replace("hold_out = 0.2", ""), "run 'plain': split 'val' of 'films' chooses the weights"),
        (QUESTION.replace("cross_attention", "crosss"), RECIPE, r"run 'cross': .*model\.conditioning"),
        (QUESTION.replace('"cross"', '"plain"'), RECIPE, "two runs have one name; there are plain, sampled, plain"),
        (QUESTION.replace('"cross"', '"../cross"'), RECIPE, r"runs\.2\.name: String should match"),
        (QUESTION.replace("title", "titel"), RECIPE, "title: Field required"),
        (QUESTION.replace("method", "methode"), RECIPE, r"runs\.1\.decoding\.methode"),
        (QUESTION.replace("base.toml", "other.toml"), RECIPE, r"run 'plain': .*other\.toml: no such recipe"),
        (QUESTION.split("[[runs]]")[0], RECIPE, "runs: Field required"),
        ("title = ", RECIPE, "not TOML"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(question: str, recipe: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        plan(load_question(write(tmp_path, question, recipe)), [0], tmp_path)


def test_an_unknown_experiment_lists_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"colours: no such experiment; give a TOML file or one of .*conditioning"):
        load_question("colours")
