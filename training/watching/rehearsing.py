"""A few steps of every stage on the real corpus, to know memory, speed and the first batches before a run starts."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from report_gen.errors import UsageError

from ..events import Progress, Validation
from ..failures import explaining_failures
from ..optim import parts
from ..recipe import Recipe, StageRecipe
from ..runs import Position, Run, TrainState
from ..session import Prepared, prepare
from ..signals import StopRequest
from ..stage import Fitting, Stage
from ..states import snapshot
from .contact_sheet import Strip
from .first_batch import FirstBatch, make_first_batch
from .rehearsal import Rehearsal, StageRehearsal

STEPS = 5
"""Of every stage at most; the first warms up and is not counted."""
_VALIDATED = 8
"""Studies of every corpus in the validation that is measured."""
_FORWARD = 1 / 3
"""Share of its forward pass in a training step: the backward pass costs about twice as much."""
_WEIGHT, _TRAINED = 4, 12
"""Bytes of a parameter, and of its gradient and AdamW's two moments where it learns."""


def rehearse(recipe: Recipe, show: Callable[[str, int, int], None]) -> Rehearsal:
    """Read the corpora, build the model and take a few steps of every stage; nothing of it is kept.

    Args:
        show: told the stage, its steps done and their number.

    Raises:
        UsageError: there are several processes.
        CorpusError, RecipeError, ResourceError: as a run would raise them.
    """
    accelerator = Accelerator()
    if accelerator.num_processes > 1:
        raise UsageError("--dry-run measures one process; start it without accelerate launch")
    with tempfile.TemporaryDirectory(prefix="report-gen-") as folder:
        run = _Unkept(Path(folder))
        prepared = prepare(recipe, run, accelerator)
        stages: list[StageRehearsal] = []
        strips: list[Strip] = []
        for index, stage in enumerate(recipe.stages):
            first = make_first_batch(recipe, index, prepared.examples, prepared.checkpoint.tokenizer)
            strips += first.strips
            with explaining_failures(stage):
                stages.append(_rehearse_stage(recipe, index, prepared, run, accelerator, show, first))
    model = prepared.checkpoint.model
    return Rehearsal(
        parameters={part: _count(group) for part, group in parts(model).items()},
        stages=stages,
        estimated_bytes=_estimate(_count(model.parameters()), stages),
        peak_bytes=_peak_bytes(),
        gpu_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        strips=strips,
    )


class _Unkept(Run):
    """A run of which no state is written."""

    def save(self, state: TrainState) -> None:
        """Nothing: a rehearsal is never resumed."""


class _Clock:
    """Notes what steps take, and the validation after the last of them."""

    def __init__(self, show: Callable[[str, int, int], None]) -> None:
        self._show, self._last = show, 0.0
        self.steps: list[Progress] = []
        self.validation: Validation | None = None
        self.validation_seconds = 0.0

    def on_step(self, now: Progress) -> None:
        self._show(now.stage, now.step, now.steps)
        self.steps.append(now)
        self._last = time.monotonic()

    def on_validation(self, now: Validation) -> None:
        if self.steps and now.loss is not None:
            self.validation, self.validation_seconds = now, time.monotonic() - self._last


def _rehearse_stage(
    recipe: Recipe,
    index: int,
    prepared: Prepared,
    run: Run,
    accelerator: Accelerator,
    show: Callable[[str, int, int], None],
    first: FirstBatch,
) -> StageRehearsal:
    stage, clock, model = recipe.stages[index], _Clock(show), prepared.checkpoint.model
    fitting = Fitting(
        checkpoint=prepared.checkpoint,
        recipe=_shortened(recipe, index),
        examples={
            name: {"train": splits["train"], "val": splits["val"][:_VALIDATED]}
            for name, splits in prepared.examples.items()
        },
        run=run,
        accelerator=accelerator,
        stop=StopRequest(),
        on_step=clock.on_step,
        on_validation=clock.on_validation,
    )
    Stage(fitting, index, TrainState(Position(stage=index), snapshot(model))).fit()
    counted = clock.steps[1:] or clock.steps
    seconds, studies, tokens = (
        float(np.mean([getattr(step, name) for step in counted])) for name in ("seconds", "studies", "tokens")
    )
    whole = sum(len(prepared.examples[name]["val"]) for name in stage.corpora)
    return StageRehearsal(
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
    short = stage.model_copy(update={"steps": steps, "validate_every": steps})
    return recipe.model_copy(update={"stages": (*recipe.stages[:index], short, *recipe.stages[index + 1 :])})


def _extrapolate(clock: _Clock, stage: StageRecipe, studies: int, forward_seconds: float) -> float:
    """Seconds of a validation of all studies, from one of a few: the loss of each, and drafts of some."""
    if clock.validation is None:
        return 0.0
    drafted = len(clock.validation.samples)
    if not drafted:
        return studies * forward_seconds
    draft_seconds = max(0.0, clock.validation_seconds / drafted - forward_seconds)
    return studies * forward_seconds + min(stage.drafts, studies) * draft_seconds


def _estimate(parameters: int, stages: Sequence[StageRehearsal]) -> int:
    """Bytes of the weights, twice, as the best are kept, and of what training adds for those that learn."""
    learning = max(sum(stage.learning.values()) for stage in stages)
    return 2 * _WEIGHT * parameters + _TRAINED * learning


def _peak_bytes() -> int:
    """Resident memory at its highest; macOS counts in bytes, Linux in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
