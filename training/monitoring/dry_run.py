"""Run a few steps of every stage on the real corpus, to measure memory and speed and show the first batches."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from report_gen.errors import UsageError
from report_gen.model import Checkpoint
from report_gen.prompting import load_prompt

from ..data import prepare_sample
from ..engine import RunContext, Stage, build_for_corpora
from ..optimization import parameters_by_part
from ..recipe import Recipe, StageRecipe
from ..run import (
    OnProgress,
    Processes,
    Progress,
    Run,
    StopRequest,
    TrainProgress,
    TrainState,
    Validation,
    explain_failures,
    snapshot,
)
from .contact_sheet import Strip
from .dry_run_results import DryRun, StageDryRun
from .first_batch import FirstBatch, make_first_batch

STEPS = 5
"""Maximum number of steps per stage; the first one warms up and is not counted."""
_BATCHES = 8
"""Training studies are sampled for this many batches, so that report lengths vary as in the full run."""
_VALIDATED, _DRAFTED = 32, 8
"""Validation studies per corpus whose loss is computed, and studies that are drafted."""
_FORWARD = 1 / 3
"""Share of the forward pass in a training step: the backward pass takes about twice as long."""
_WEIGHT_BYTES, _OPTIMIZER_BYTES = 4, 8
"""Bytes per parameter: weight or gradient; the two moments of AdamW."""


def dry_run(recipe: Recipe, on_progress: OnProgress) -> DryRun:
    """Read the corpora, build the model and run a few steps of every stage; nothing is kept.

    Raises:
        UsageError: Several processes were started.
        CorpusError, RecipeError, ResourceError: As in a run.
    """
    accelerator = Accelerator()
    if accelerator.num_processes > 1:
        raise UsageError("--dry-run measures one process; start it without accelerate launch")
    with tempfile.TemporaryDirectory(prefix="report-gen-") as folder:
        prompt, run = load_prompt(recipe.text.prompt), _UnsavedRun(Path(folder))
        largest = max(stage.batch_size * stage.accumulate for stage in recipe.stages)
        sizes = {"train": _BATCHES * largest, "val": _VALIDATED}
        prepared = prepare_sample(recipe, run, prompt, sizes, on_progress=on_progress)
        model = build_for_corpora(recipe, prepared).to(accelerator.device)
        timer = _Timer(on_progress)
        context = RunContext(
            checkpoint=Checkpoint(model, prepared.tokenizer, prompt, weights_sha256=""),
            recipe=recipe,
            prepared=prepared,
            run=run,
            accelerator=accelerator,
            stop=StopRequest(),
            on_step=timer.on_step,
            on_validation=timer.on_validation,
            on_progress=on_progress,
        )
        stages: list[StageDryRun] = []
        strips: list[Strip] = []
        for index, stage in enumerate(recipe.stages):
            first = make_first_batch(recipe, index, prepared, Processes(accelerator))
            strips += first.strips
            with explain_failures(stage):
                stages.append(_measure_stage(context, index, timer, first))
    return DryRun(
        parameters={part: _count(group) for part, group in parameters_by_part(model).items()},
        stages=stages,
        estimated_bytes=max(_estimate(_count(model.parameters()), stage) for stage in stages),
        peak_bytes=peak_memory(),
        gpu_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        strips=strips,
    )


class _UnsavedRun(Run):
    """A run whose state is never saved."""

    def save(self, state: TrainState) -> None:
        """Do nothing: a dry run is never resumed."""


class _Timer:
    """Records the steps of a stage, and the time of the validation after the last step."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self.restart()

    def restart(self) -> None:
        """Discard the measurements before the next stage."""
        self.steps: list[Progress] = []
        self.validation: Validation | None = None
        self.validation_seconds, self._last = 0.0, 0.0

    def on_step(self, now: Progress) -> None:
        self._on_progress(now.stage, now.step, now.steps)
        self.steps.append(now)
        self._last = time.monotonic()

    def on_validation(self, now: Validation) -> None:
        if self.steps and now.loss is not None:
            self.validation, self.validation_seconds = now, time.monotonic() - self._last


def _measure_stage(context: RunContext, index: int, timer: _Timer, first: FirstBatch) -> StageDryRun:
    stage, model = context.recipe.stages[index], context.checkpoint.model
    timer.restart()
    short = replace(context, recipe=_shorten(context.recipe, index))
    Stage(short, index, TrainState(TrainProgress(stage=index), snapshot(model))).fit()
    counted = timer.steps[1:] or timer.steps
    seconds, studies, tokens = (
        float(np.mean([getattr(step, name) for step in counted])) for name in ("seconds", "studies", "tokens")
    )
    counts = context.prepared.encoded.counts
    total = sum(counts[name].get("val", 0) for name in stage.corpora)
    return StageDryRun(
        stage=stage,
        trained={
            part: _count(p for p in group if p.requires_grad) for part, group in parameters_by_part(model).items()
        },
        seconds=seconds,
        batch_seconds=first.seconds,
        studies=studies,
        tokens=tokens,
        validation_seconds=_extrapolate(timer, stage, total, _FORWARD * seconds / studies),
        texts=first.texts,
    )


def _shorten(recipe: Recipe, index: int) -> Recipe:
    """Return the recipe with a few steps in one stage, and one validation after them."""
    stage = recipe.stages[index]
    steps = min(STEPS, stage.steps)
    changes = {"steps": steps, "validate_every": steps, "validation_drafts": min(stage.validation_drafts, _DRAFTED)}
    short = stage.model_copy(update=changes)
    return recipe.model_copy(update={"stages": (*recipe.stages[:index], short, *recipe.stages[index + 1 :])})


def _extrapolate(timer: _Timer, stage: StageRecipe, studies: int, forward_seconds: float) -> float:
    """Estimate the seconds of a full validation: the loss of every study, and drafts of some."""
    if timer.validation is None:
        return 0.0
    drafted = len(timer.validation.samples)
    if not drafted:
        return studies * forward_seconds
    measured = min(_VALIDATED * len(stage.corpora), studies)
    draft_seconds = max(0.0, timer.validation_seconds - measured * forward_seconds) / drafted
    return studies * forward_seconds + min(stage.validation_drafts, studies) * draft_seconds


def _estimate(parameters: int, stage: StageDryRun) -> int:
    """Estimate the bytes of two copies of the weights (current and best), gradients, optimizer state and EMA."""
    trained = sum(stage.trained.values())
    ema = _WEIGHT_BYTES * trained if stage.stage.ema_decay else 0
    return 2 * _WEIGHT_BYTES * parameters + (_WEIGHT_BYTES + _OPTIMIZER_BYTES) * trained + ema


def peak_memory() -> int:
    """Return the peak resident memory of this process, bytes; macOS reports bytes, Linux KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
