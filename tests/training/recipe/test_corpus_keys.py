"""Keys of corpora: values that contradict each other are refused with the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from report_gen_training.recipe.loading import load_recipe
from report_gen_training.recipe.schema import Recipe

from report_gen.errors import RecipeError

RECIPE = """
name = "mine"
[model.encoder]
name = "test_vit"
[[corpora]]
name = "first"
path = "first"
patient_ids = "nih"
[[corpora]]
name = "second"
path = "second"
patient_ids = "nih"
held_out_sources = []
[corpora.source_weights]
rm93 = 3.0
muhammedtalo = 0.5
[[stages]]
name = "image_encoder"
corpora = ["first", "second"]
mixing = "pooled"
steps = 10
rates = { projector = 1e-3 }
"""


def load(folder: Path, *settings: str) -> Recipe:
    file = folder / "mine.toml"
    file.write_text(RECIPE)
    return load_recipe(str(file), settings)


def test_keys_of_corpora_and_their_defaults(tmp_path: Path) -> None:
    recipe = load(tmp_path)
    first, second = recipe.corpora
    assert (first.held_out_sources, second.held_out_sources) == (None, ())
    assert (dict(first.source_weights), second.source_weights["rm93"]) == ({}, 3.0)
    assert (first.sampling_weight, first.loss_weight, first.label_smoothing) == (1.0, 1.0, 0.0)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("corpora.0.mean=0.5",), "corpora.0: mean and std belong together; set both, or remove the one"),
        (("corpora.0.soft_label_file=t.csv",), "corpora.0: soft_label_file has no effect with soft_labels = 0"),
        (("corpora.1.source_weights.rm93=0",), "corpora.1.source_weights.rm93: Input should be greater than 0"),
        (("corpora.0.loss_weight=0",), "corpora.0.loss_weight: Input should be greater than 0"),
        (("corpora.0.label_smoothing=1",), "corpora.0.label_smoothing: Input should be less than 1"),
        (("stages.0.mixing=mixed",), "stages.0.mixing: Input should be 'alternate' or 'pooled'"),
        (
            ("stages.0.mixing=alternate", "corpora.1.sampling_weight=2"),
            "the sampling_weight of the corpus 'second' has no effect, .*; set mixing = \"pooled\", or remove it",
        ),
        (("corpora.0.held_out_source=[]",), "unknown key 'corpora.0.held_out_source'; did you mean 'held_out_sources'"),
    ],
)
def test_a_wrong_key_is_refused_with_the_remedy(tmp_path: Path, settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load(tmp_path, *settings)


@pytest.mark.parametrize("changes", [{"corpora.1.sampling_weight": 2}, {"stages.0.mixing": "alternate"}])
def test_weights_that_have_an_effect_are_accepted(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert load(tmp_path, *(f"{key}={value}" for key, value in changes.items()))
