"""The training data of a stage."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_gen_training.data.data_loading import TrainingData, trained_findings
from report_gen_training.data.preparation import prepare
from report_gen_training.run.events import ignore_progress
from report_gen_training.run.folder import Run

from report_gen.labeling import chest_xray
from tests.builders import PROMPT, tiny_recipe, write_corner_corpus


def test_usual_tokens_are_the_mean_report_tokens_of_a_step(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_corner_corpus(tmp_path, copies=2), stage={"batch_size": 3, "accumulate": 2})
    (tmp_path / "run").mkdir()
    prepared = prepare(recipe, Run(tmp_path / "run"), PROMPT, on_progress=ignore_progress)
    one_process: Any = SimpleNamespace(rank=0, count=1)
    data = TrainingData(recipe, 0, prepared, one_process)
    lengths = [len(one.report_ids) + 1 for one in prepared.encoded.examples["images"]["train"]]  # with the end token
    assert data.usual_tokens == pytest.approx(6 * sum(lengths) / len(lengths))


@pytest.mark.parametrize(("support", "expected"), [(2, True), (3, False)])
def test_a_finding_with_few_labels_is_not_reported(tmp_path: Path, support: int, expected: bool) -> None:
    """Two of eight training studies have a fracture."""
    rates = {"projector": 1e-3}
    recipe = tiny_recipe(write_corner_corpus(tmp_path, copies=2), stage={"rates": rates})
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"finding_support": support})})
    (tmp_path / "run").mkdir()
    prepared = prepare(recipe, Run(tmp_path / "run"), PROMPT, on_progress=ignore_progress)
    trained = dict(zip(chest_xray().findings, trained_findings(recipe, prepared, len(recipe.stages)), strict=True))
    assert trained["Fracture"] is expected
    assert not trained["Hernia"]


def test_a_finding_that_the_texts_do_not_state_is_not_trained(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_corner_corpus(tmp_path, copies=2))
    (tmp_path / "run").mkdir()
    prepared = prepare(recipe, Run(tmp_path / "run"), PROMPT, on_progress=ignore_progress)
    text = recipe.text.model_copy(update={"drop_unknown_concepts": True, "unknown_findings": ("Fracture",)})
    plain, without = (
        dict(zip(chest_xray().findings, trained_findings(one, prepared, 1), strict=True))
        for one in (recipe, recipe.model_copy(update={"text": text}))
    )
    assert plain["Fracture"]
    assert without == plain | {"Fracture": False}
