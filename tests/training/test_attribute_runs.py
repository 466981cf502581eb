"""Runs of models that recognize an attribute: its threshold, and runs that start from the image side of another."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from pydantic import ValidationError
from report_gen_training.engine.session import train
from report_gen_training.recipe.decisions import DecisionRecipe
from report_gen_training.recipe.schema import Recipe

from report_gen.model import load_checkpoint, read_config
from tests.builders import corner_image, tiny_recipe, write_png

COLUMNS = ("study_id", "images", "findings", "impression", "plane", "split")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A corpus in which the bright corner determines the plane."""
    (tmp_path / "images").mkdir()
    with (tmp_path / "images" / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for number in range(16):
            write_png(tmp_path / "images" / f"{number}.png", corner_image(number % 2, size=32))
            plane = ("axial", "coronal")[number % 2]
            table.writerow(
                (number, f"{number}.png", "There is a mass.", "Mass.", plane, "train" if number < 8 else "val")
            )
    return tmp_path


def recipe(data: Path, *, decisions: dict[str, object] | None = None, **model: object) -> Recipe:
    plain = tiny_recipe(data)
    changes = {"attributes": ["plane"], "attribute_support": 1, "volumes": {"views": 4}} | model
    return tiny_recipe(
        data,
        model=plain.model.model_dump() | changes,
        decisions=decisions or {"attribute_accuracy": {"plane": 0.5}},
        stage={"steps": 2, "checkpoint_metric": "loss"},
    )


def fit(chosen: Recipe, folder: Path) -> Path:
    return train(chosen, folder, resume=False, on_step=lambda _: None)


def test_a_checkpoint_knows_when_an_attribute_is_certain_and_takes_volumes(data: Path, tmp_path: Path) -> None:
    config = read_config(fit(recipe(data), tmp_path / "run"))
    (plane,) = config.attributes
    assert plane.values == ("axial", "coronal")
    assert 0 <= plane.threshold <= 1
    assert config.volumes is not None
    assert config.volumes.views == 4


def test_a_recipe_may_give_the_threshold(data: Path, tmp_path: Path) -> None:
    given = recipe(data, decisions={"attribute_thresholds": {"plane": 0.625}})
    folder = fit(given, tmp_path / "run")
    (plane,) = read_config(folder).attributes
    assert plane.threshold == 0.625
    assert "thresholds, except those that the recipe gives: plane." in (folder / "README.md").read_text()


def test_an_attribute_has_a_demanded_accuracy_or_a_threshold() -> None:
    with pytest.raises(ValidationError, match="both name plane"):
        DecisionRecipe.model_validate({"attribute_accuracy": {"plane": 0.9}, "attribute_thresholds": {"plane": 0.5}})


def test_a_run_starts_from_the_attribute_heads_of_another(data: Path, tmp_path: Path) -> None:
    first = fit(recipe(data), tmp_path / "first")
    frozen = recipe(data, image_weights=str(first)).model_dump(mode="json")
    frozen["stages"][0]["rates"] = {"decoder": 1e-3}
    second = fit(Recipe.model_validate(frozen), tmp_path / "second")
    heads = [load_checkpoint(folder).model.projector.attribute_heads.state_dict() for folder in (first, second)]
    assert heads[0].keys() == heads[1].keys()
    assert all((heads[0][name] == heads[1][name]).all() for name in heads[0])
