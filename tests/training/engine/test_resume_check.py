"""A saved state that contradicts its recipe or its model is refused by value."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.engine.resume_check import check_state
from report_gen_training.recipe import Recipe
from report_gen_training.run import TrainProgress, TrainState, ValidationScore

from report_gen.errors import UsageError
from tests.builders import tiny_recipe

WEIGHTS = {"a": torch.ones(2, 3), "b": torch.zeros(1)}
INSIDE = TrainProgress(stage=1, step=5, validated=4, best=ValidationScore(0.5, -1.0), stale=1, bf16=False)
"""Progress after 5 of 7 steps, with validations after 0, 2 and 4 steps."""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    stage = tiny_recipe(tmp_path).stages[0].model_dump() | {"steps": 7, "validate_every": 2, "patience": 2}
    return tiny_recipe(tmp_path, seed=3, stages=[stage, stage | {"name": "averaged", "ema_decay": 0.9}])


def state(progress: TrainProgress = INSIDE, **changes: Any) -> TrainState:
    """Return a sound state inside a stage, with changes."""
    values: dict[str, Any] = {
        "weights": WEIGHTS,
        "best": WEIGHTS,
        "optimizer": {},
        "ema": {"a": WEIGHTS["a"]},
        "seed": 3,
    }
    return TrainState(progress, **values | changes)


def between(stage: int) -> TrainState:
    """Return the state after `stage` stages."""
    return TrainState(TrainProgress(stage=stage), WEIGHTS, seed=3)


def problem(found: TrainState, recipe: Recipe) -> str:
    with pytest.raises(UsageError, match=r"last: damaged or of another version \(.*\); start a new run") as raised:
        check_state(found, recipe, WEIGHTS, Path("run/last"))
    return str(raised.value)


@pytest.mark.parametrize(
    "found",
    [
        between(0),
        between(1),
        between(2),
        state(),
        state(seed=None),  # of version 0.1
        state(replace(INSIDE, step=0, validated=-1, best=None, stale=0)),  # stopped in the first validation
        state(replace(INSIDE, step=0, validated=0, stale=0)),
        state(replace(INSIDE, step=6, validated=4)),  # stopped before a validation
        state(replace(INSIDE, step=6, validated=6, stale=2)),  # patience is exhausted
        state(replace(INSIDE, step=7, validated=7, stale=0, best=ValidationScore(0.0, -math.inf))),
        state(replace(INSIDE, step=7, validated=6)),
        state(replace(INSIDE, skipped=2)),
        state(replace(INSIDE, best=None, stale=0)),  # without validation studies
    ],
)
def test_sound_states(found: TrainState, recipe: Recipe) -> None:
    check_state(found, recipe, WEIGHTS, Path("run/last"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": 99}, "stage = 99, but the recipe has 2 stages, counted from 0"),
        ({"stage": 2}, "the last stage is complete, but the state was saved within a stage"),
        ({"stage": 0}, "ema.safetensors is there, but ema_decay = 0.0"),
        ({"step": 8}, "step = 8, but the stage has 7 steps"),
        ({"step": 10**18}, "step = 1000000000000000000, but the stage has 7 steps"),
        ({"validated": 5}, "validated = 5 does not fit step = 5 and validate_every = 2"),
        ({"validated": 6}, "validated = 6 does not fit step = 5"),
        ({"validated": 2}, "validated = 2 does not fit step = 5"),
        ({"validated": -1}, "validated = -1 does not fit step = 5"),
        ({"step": 7, "validated": 4}, "validated = 4 does not fit step = 7"),
        ({"stale": 2}, "stale = 2 does not fit 3 validations and patience = 2"),  # the stage would have ended
        ({"stale": 3}, "stale = 3 does not fit 3 validations and patience = 2"),
        ({"step": 1, "validated": 0, "stale": 1}, "stale = 1 does not fit 1 validations"),
        ({"skipped": 3}, "skipped = 3, but a run ends after 3 skipped steps"),
        ({"step": 0, "validated": 0, "stale": 0, "skipped": 1}, "skipped = 1"),
        ({"bf16": True}, "bf16 = True, but precision = 'fp32'"),
        ({"bf16": None}, "bf16 = None, but precision = 'fp32'"),
        ({"best": None}, "stale = 1, but there are no best weights"),
        ({"best": ValidationScore(math.nan, -1.0)}, "best = [nan, -1.0] is not the score of a validation"),
        ({"best": ValidationScore(math.inf, -1.0)}, "best = [inf, -1.0] is not the score"),
        ({"best": ValidationScore(-1.0, -1.0)}, "best = [-1.0, -1.0] is not the score"),
        ({"best": ValidationScore(0.5, math.nan)}, "best = [0.5, nan] is not the score"),
    ],
)
def test_progress_that_contradicts_the_recipe(changes: dict[str, Any], message: str, recipe: Recipe) -> None:
    assert message in problem(state(replace(INSIDE, **changes)), recipe)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "seed = 4, but the recipe has 3"),
        ({"best": None}, "best.safetensors is missing"),
        ({"optimizer": None}, "optimizer.safetensors is missing"),
        ({"ema": None}, "ema.safetensors is missing, but ema_decay = 0.9"),
        ({"ema": {"a": torch.ones(3)}}, "the tensor a of ema.safetensors does not fit the model"),
        ({"ema": {"z": torch.ones(3)}}, "the tensor z of ema.safetensors does not fit the model"),
        ({"weights": {"a": WEIGHTS["a"]}}, "the tensor b of the weights is missing"),
        ({"weights": WEIGHTS | {"c": torch.ones(1)}}, "the tensor c of the weights is unknown"),
        ({"weights": WEIGHTS | {"b": torch.ones(2)}}, "the tensor b of the weights has another shape or type"),
        ({"weights": WEIGHTS | {"b": torch.zeros(1).half()}}, "the tensor b of the weights has another shape or type"),
        ({"best": {"b": WEIGHTS["b"]}}, "the tensor a of the best is missing"),
    ],
)
def test_tensors_that_contradict_the_model(changes: dict[str, Any], message: str, recipe: Recipe) -> None:
    assert message in problem(state(**changes), recipe)


def test_a_stage_cannot_have_progress_between_stages(recipe: Recipe) -> None:
    found = replace(between(1), progress=TrainProgress(stage=1, step=2))
    assert "best.safetensors is missing" in problem(found, recipe)
