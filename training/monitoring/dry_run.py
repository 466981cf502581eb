"""A few steps of every stage on the real corpus, to know memory, speed and the first batches before a run starts."""

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

from ..data.preparation import prepare_sample
from ..engine.session import build
from ..engine.stage import Stage
from ..engine.stage_context import Fitting
from ..optimization.optimizer import parts
from ..recipe.schema import Recipe, StageRecipe
from ..run.events import Progress, Validation
from ..run.failures import explaining_failures
from ..run.folder import Run, TrainProgress, TrainState
from ..run.processes import Processes
from ..run.reporting import OnProgress
from ..run.signals import StopRequest
from ..run.state import snapshot
from .contact_sheet import Strip
from .dry_run_results import DryRun, StageDryRun
from .first_batch import FirstBatch, make_first_batch

STEPS = 5
"""Of every stage at most; the first warms up and is not counted."""
_BATCHES = 8
"""Batches that the training studies are enough for, so that lengths vary as they will."""
_VALIDATED, _DRAFTED = 32, 8
"""Studies of every corpus in the validation that is measured, and those that are drafted."""
_FORWARD = 1 / 3
"""Share of its forward pass in a training step: the backward pass costs about twice as much."""
_WEIGHT, _MOMENTS = 4, 8
"""Bytes of a weight or gradient, and of AdamW's two moments."""


def dry_run(recipe: Recipe, on_progress: OnProgress) -> DryRun:
    """Read the corpora, build the model and take a few steps of every stage; nothing of it is kept.

    Raises:
        UsageError: there are several processes.
        CorpusError, RecipeError, ResourceError: as a run would raise them.
    """
    accelerator = Accelerator()
    if accelerator.num_processes > 1:
        raise UsageError("--dry-run measures one process; start it without accelerate launch")
    with tempfile.TemporaryDirectory(prefix="report-gen-") as folder:
        prompt, run = load_prompt(recipe.text.prompt), _Unkept(Path(folder))
        largest = max(stage.batch_size * stage.accumulate for stage in recipe.stages)
        sizes = {"train": _BATCHES * largest, "val": _VALIDATED}
        prepared = prepare_sample(recipe, run, prompt, sizes, on_progress=on_progress)
        model = build(recipe, prepared).to(accelerator.device)
        clock = _Clock(on_progress)
        fitting = Fitting(
            checkpoint=Checkpoint(model, prepared.tokenizer, prompt, weights_sha256=""),
            recipe=recipe,
            prepared=prepared,
            run=run,
            accelerator=accelerator,
            stop=StopRequest(),
            on_step=clock.on_step,
            on_validation=clock.on_validation,
            on_progress=on_progress,
        )
        stages: list[StageDryRun] = []
        strips: list[Strip] = []
        for index, stage in enumerate(recipe.stages):
            first = make_first_batch(recipe, index, prepared, Processes(accelerator))
            strips += first.strips
            with explaining_failures(stage):
                stages.append(_rehearse_stage(fitting, index, clock, first))
    return DryRun(
        parameters={part: _count(group) for part, group in parts(model).items()},
        stages=stages,
        estimated_bytes=max(_estimate(_count(model.parameters()), stage) for stage in stages),
        peak_bytes=_peak_bytes(),
        gpu_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        strips=strips,
    )


class _Unkept(Run):
    """A run of which no state is written."""

    def save(self, state: TrainState) -> None:
        """Nothing: a rehearsal is never resumed."""


class _Clock:
    """Notes what the steps of a stage take, and the validation after the last of them."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self.restart()

    def restart(self) -> None:
        """For another stage."""
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


def _rehearse_stage(fitting: Fitting, index: int, clock: _Clock, first: FirstBatch) -> StageDryRun:
    stage, model = fitting.recipe.stages[index], fitting.checkpoint.model
    clock.restart()
    short = replace(fitting, recipe=_shortened(fitting.recipe, index))
    Stage(short, index, TrainState(TrainProgress(stage=index), snapshot(model))).fit()
    counted = clock.steps[1:] or clock.steps
    seconds, studies, tokens = (
        float(np.mean([getattr(step, name) for step in counted])) for name in ("seconds", "studies", "tokens")
    )
    counts = fitting.prepared.encoded.counts
    whole = sum(counts[name].get("val", 0) for name in stage.corpora)
    return StageDryRun(
        stage=stage,
        learning={part: _count(p for p in group if p.requires_grad) for part, group in parts(model).items()},
        seconds=seconds,
        batch_seconds=first.seconds,
        studies=studies,
        tokens=tokens,
        validation_seconds=_extrapolate(clock, stage, whole, _FORWARD * seconds / studies),
        texts=first.texts,
    )


def _shortened(recipe: Recipe, index: int) -> Recipe:
    """The recipe with a few steps of one stage, and one validation after them."""
    stage = recipe.stages[index]
    steps = min(STEPS, stage.steps)
    changes = {"steps": steps, "validate_every": steps, "drafts": min(stage.drafts, _DRAFTED)}
    short = stage.model_copy(update=changes)
    return recipe.model_copy(update={"stages": (*recipe.stages[:index], short, *recipe.stages[index + 1 :])})


def _extrapolate(clock: _Clock, stage: StageRecipe, studies: int, forward_seconds: float) -> float:
    """Seconds of a validation of all studies, from one of a few: the loss of each, and drafts of some."""
    if clock.validation is None:
        return 0.0
    measured = len(clock.validation.samples)
    if not measured:
        return studies * forward_seconds
    looked = min(_VALIDATED * len(stage.corpora), studies)
    draft_seconds = max(0.0, clock.validation_seconds - looked * forward_seconds) / measured
    return studies * forward_seconds + min(stage.drafts, studies) * draft_seconds


def _estimate(parameters: int, stage: StageDryRun) -> int:
    """Bytes of the weights, twice, as the best are kept, and of what training adds for those that learn."""
    learning = sum(stage.learning.values())
    average = _WEIGHT * learning if stage.stage.average else 0
    return 2 * _WEIGHT * parameters + (_WEIGHT + _MOMENTS) * learning + average


def _peak_bytes() -> int:
    """Resident memory at its highest; macOS counts in bytes, Linux in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
