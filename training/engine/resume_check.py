"""Refuse a saved state that contradicts its recipe or model: resuming it would silently train another model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from report_gen.errors import UsageError
from report_gen.model import ReportModel

from ..optimization import frozen_parameters
from ..recipe import Recipe, TrainingSteps, TuningRecipe
from ..run import Tensors, TrainProgress, TrainState, damaged

MAX_SKIPPED = 3
"""Steps in a row without a finite loss and gradient after which a run ends; single ones are skipped."""


def check_state(state: TrainState, recipe: Recipe, weights: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Check a state that was read from a run folder.

    Args:
        state: The state.
        recipe: Recipe of the run.
        weights: State of the model by name, for names, shapes and types.
        folder: Folder of the state, for error messages.

    Raises:
        UsageError: The state contradicts the recipe or the model; the message names the value.
    """
    for problem in _problems(state, recipe, weights):
        raise damaged(folder, problem)


def check_tuning_state(state: TrainState, recipe: TuningRecipe, weights: Tensors, folder: Path) -> None:
    """Check the state of a fine-tuning, which is one stage; see `check_state`.

    Args:
        state: The state.
        recipe: Recipe of the run.
        weights: Weights of the adapter by name, for names, shapes and types.
        folder: Folder of the state, for error messages.

    Raises:
        UsageError: The state contradicts the recipe or the adapter; the message names the value.
    """
    for problem in _problems_of_tuning(state, recipe, weights):
        raise damaged(folder, problem)


def check_base_unchanged(state: TrainState, recipe: Recipe, model: ReportModel) -> None:
    """Refuse to continue an adapter if the weights of its base are others than when the run was started.

    The adapter would record the SHA-256 of a base that it was not trained on.

    Args:
        state: The state that was read from a run folder.
        recipe: Recipe of the run.
        model: The model with the weights of the base, before the state is loaded.

    Raises:
        UsageError: The weights differ.
    """
    if recipe.model.base is None:
        return
    weights, frozen = model.state_dict(), sorted(frozen_parameters(model))
    changed = [name for name in frozen if not torch.equal(state.weights[name], weights[name].cpu())]
    if changed:
        raise UsageError(
            f"{recipe.model.base}: {len(changed)} of {len(frozen)} tensors are others than when the run was started; "
            "use the weights that it was started with, or start a new run with another --output"
        )


def _problems(state: TrainState, recipe: Recipe, weights: Tensors) -> Iterator[str]:
    progress = state.progress
    if state.seed not in (None, recipe.seed):
        yield f"seed = {state.seed}, but the recipe has {recipe.seed}"
    yield from _wrong_tensors("weights", state.weights, weights)
    if progress.stage > len(recipe.stages):
        yield f"stage = {progress.stage}, but the recipe has {len(recipe.stages)} stages, counted from 0"
    elif state.best is None:
        if progress != TrainProgress(stage=progress.stage):
            yield "best.safetensors is missing"
    elif progress.stage == len(recipe.stages):
        yield "the last stage is complete, but the state was saved within a stage"
    else:
        yield from _problems_of_stage(state, state.best, recipe, weights)


def _problems_of_tuning(state: TrainState, recipe: TuningRecipe, weights: Tensors) -> Iterator[str]:
    if state.seed != recipe.seed:
        yield f"seed = {state.seed}, but the recipe has {recipe.seed}"
    if state.progress.stage:
        yield f"stage = {state.progress.stage}, but a fine-tuning is one stage"
    yield from _wrong_tensors("weights", state.weights, weights)
    yield from _wrong_tensors("best", state.best or {}, weights)
    if state.optimizer is None:
        yield "optimizer.safetensors is missing"
    yield from _wrong_counters(state.progress, recipe)


def _problems_of_stage(state: TrainState, best: Tensors, recipe: Recipe, weights: Tensors) -> Iterator[str]:
    """Yield the contradictions of a state that was saved inside a stage."""
    progress, stage = state.progress, recipe.stages[state.progress.stage]
    yield from _wrong_tensors("best", best, weights)
    if state.optimizer is None:
        yield "optimizer.safetensors is missing"
    if (state.ema is not None) != bool(stage.ema_decay):
        yield f"ema.safetensors is {'missing' if stage.ema_decay else 'there'}, but ema_decay = {stage.ema_decay}"
    for name, tensor in (state.ema or {}).items():
        if name not in weights or tensor.shape != weights[name].shape:
            yield f"the tensor {name} of ema.safetensors does not fit the model"
    if progress.bf16 is None or recipe.precision not in ("auto", "bf16" if progress.bf16 else "fp32"):
        yield f"bf16 = {progress.bf16}, but precision = {recipe.precision!r}"
    yield from _wrong_counters(progress, stage)


def _wrong_counters(progress: TrainProgress, stage: TrainingSteps) -> Iterator[str]:
    """Yield the contradictions of step, validations, patience counter and score."""
    step, every = progress.step, stage.validate_every
    if step > stage.steps:
        yield f"step = {step}, but the stage has {stage.steps} steps"
        return
    before = -1 if step == 0 else (step - 1) // every * every
    at_boundary = step % every == 0 or step == stage.steps
    if progress.validated not in ((before, step) if at_boundary else (before,)):
        yield f"validated = {progress.validated} does not fit step = {step} and validate_every = {every}"
    validations = 0 if progress.validated < 0 else -(-progress.validated // every) + 1
    is_over = progress.stale >= stage.patience and step != progress.validated
    if progress.stale > min(stage.patience, max(0, validations - 1)) or is_over:
        yield f"stale = {progress.stale} does not fit {validations} validations and patience = {stage.patience}"
    if progress.skipped > min(step, MAX_SKIPPED - 1):
        yield f"skipped = {progress.skipped}, but a run ends after {MAX_SKIPPED} skipped steps"
    if progress.best is None:
        if progress.stale:
            yield f"stale = {progress.stale}, but there are no best weights"
    elif progress.validated < 0 or not (0 <= progress.best.score < math.inf and progress.best.negative_loss < math.inf):
        yield f"best = {list(progress.best)} is not the score of a validation"


def _wrong_tensors(name: str, found: Tensors, expected: Tensors) -> Iterator[str]:
    """Yield the tensors that are missing, left over, or of another shape or type."""
    for key in sorted(found.keys() ^ expected.keys()):
        yield f"the tensor {key} of the {name} is {'missing' if key in expected else 'unknown'}"
    for key in sorted(found.keys() & expected.keys()):
        if (found[key].shape, found[key].dtype) != (expected[key].shape, expected[key].dtype):
            yield f"the tensor {key} of the {name} has another shape or type"
