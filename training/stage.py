"""One stage of a run: steps, validations between them, and the best weights at its end."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NoReturn

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device

from report_gen.errors import CorpusError, RecipeError, ReportGenError, StoppedError
from report_gen.model import Checkpoint
from report_gen.pixels import PixelTransform

from .batches import Batch, Items
from .choosing import rank
from .events import Progress, Validation
from .examples import TrainingExample
from .learner import Learner
from .optim import set_rates, set_train_mode
from .plan import Plan, group_by_kind
from .precision import is_bf16_faster
from .processes import Processes
from .recipe import Recipe, StageRecipe
from .runs import Run, TrainState
from .signals import StopRequest
from .states import snapshot
from .stepping import Weights, mean, share, train_step
from .validating import Validator

Examples = Mapping[str, Mapping[str, Sequence[TrainingExample]]]
"""Corpus name -> split -> examples."""

FAULTS = 3
"""Steps in a row without a finite loss and gradient after which a run ends; single ones are left out."""


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """What the stages of a run share."""

    checkpoint: Checkpoint
    """The model in training, with its words."""
    recipe: Recipe
    examples: Examples
    run: Run
    accelerator: Accelerator
    stop: StopRequest
    on_step: Callable[[Progress], None]
    on_validation: Callable[[Validation], None]


class Stage:
    """One stage of a run, from a state of it on."""

    def __init__(self, fitting: Fitting, index: int, state: TrainState) -> None:
        self._fitting, self._index = fitting, index
        self._recipe, self._stage = fitting.recipe, fitting.recipe.stages[index]
        self._run, self._processes = fitting.run, Processes(fitting.accelerator)
        self._device = fitting.accelerator.device
        self._position, self._best = state.position, state.best or state.weights
        self._training = self._training_groups()
        self._position = replace(self._position, bf16=self._choose_precision())
        with self._run.reading():
            self._learner = Learner(fitting.checkpoint.model, self._stage, fitting.accelerator, state.optimizer)
        self._could_write = self._recipe.model.decoder_weights is not None or any(
            stage.rates.decoder > 0 for stage in self._recipe.stages[:index]
        )
        self._validator = self._build_validator()
        self._best_validation: Validation | None = None
        self._collapsed, self._saved = False, time.monotonic()

    def fit(self) -> None:
        """Step until the recipe's steps are done or validation stops getting better; the model ends with the best."""
        if self._position.validated < 0:
            self._log("stage", bf16=self._position.bf16, processes=self._processes.count)
        while True:
            if self._is_validation_due():
                self._validate()
            if self._position.step >= self._stage.steps or self._position.stale >= self._stage.patience:
                break
            self._advance()
        self._learner.whole.load_state_dict(dict(self._best))
        self._learner.release()

    def _is_validation_due(self) -> bool:
        """Also before the first step: what a stage begins with is its first best, so that it changes nothing for the
        worse."""
        step = self._position.step
        at_boundary = step % self._stage.validate_every == 0 or step == self._stage.steps
        return at_boundary and step != self._position.validated

    def _advance(self) -> None:
        """Step up to the next validation; save now and then, and leave when asked to."""
        start, every = self._position.step, self._stage.validate_every
        stop = min(self._stage.steps, (start // every + 1) * every)
        set_train_mode(self._learner.whole, self._stage.rates)
        batches = self._batches(start, stop)
        for step in range(start, stop):
            began = time.monotonic()
            outcome = self._step(list(islice(batches, self._stage.accumulate)), step)
            self._position = replace(
                self._position, step=step + 1, faults=0 if outcome.finite else self._position.faults + 1
            )
            self._tell(outcome, time.monotonic() - began)
            if outcome.asked_to_stop:
                self._leave()
            if outcome.save_due:
                self._save()

    def _step(self, batches: Sequence[Batch], step: int) -> _Outcome:
        """One step over its batches; where loss or gradient is no number the weights stay as they are."""
        weights = [Weights.of(batch) for batch in batches]
        asked, due, studies, *weighed = self._processes.sum(
            [bool(self._fitting.stop), self._is_save_due(), sum(map(_size, batches)), *np.sum(weights, axis=0).tolist()]
        )
        totals, sums = Weights(*weighed), np.zeros(2)
        # -------------------------------------------------------------------------------- one training step
        set_rates(self._learner.optimizer, self._stage, step)
        for number, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            torch.manual_seed(_seed(self._recipe.seed, self._index, step, number, self._processes.rank))
            with self._learner.gathering(last=number == len(batches) - 1):
                with self._autocast():
                    losses = train_step(self._learner.forward, send_to_device(batch, self._device))
                self._learner.learn(share(losses, weight, totals, self._stage))
            sums += losses.sums(weight)
        report, finding = self._processes.sum(sums.tolist())
        loss, report_loss, finding_loss = mean((report, finding), totals, self._stage)
        finite = self._learner.step(apply=math.isfinite(loss))
        # ----------------------------------------------------------------------------------------------------
        return _Outcome(
            loss=loss,
            report_loss=report_loss,
            finding_loss=finding_loss,
            finite=finite and math.isfinite(loss),
            studies=int(studies),
            tokens=int(totals.tokens),
            asked_to_stop=bool(asked),
            save_due=bool(due),
        )

    def _tell(self, outcome: _Outcome, seconds: float) -> None:
        """Log the step, show it, and end a run whose loss is no number.

        Raises:
            ReportGenError: for `FAULTS` steps in a row.
        """
        step, name = self._position.step, self._stage.name
        progress = Progress(
            stage=name,
            step=step,
            steps=self._stage.steps,
            loss=outcome.loss,
            report_loss=outcome.report_loss,
            finding_loss=outcome.finding_loss,
            rates=_rates(self._learner.optimizer, self._stage),
            seconds=seconds,
            studies=outcome.studies,
            tokens=outcome.tokens,
            best=self._best_validation,
            collapsed=self._collapsed,
        )
        shown = ("loss", "report_loss", "finding_loss", "rates", "seconds", "studies", "tokens")
        self._log("step", **{key: getattr(progress, key) for key in shown}, left_out=not outcome.finite)
        if self._processes.is_main:
            self._fitting.on_step(progress)
        if self._position.faults >= FAULTS:
            raise ReportGenError(
                f"stage {name!r}, step {step}: no finite loss and gradient for {FAULTS} steps in a row, the loss is "
                f"{outcome.loss:.3g}; lower the learning rates and start anew"
            )

    def _validate(self) -> None:
        """Validate, keep the weights if they are the best, and save."""
        can_write = self._position.step > 0 or self._could_write
        try:
            validation = self._validator.validate(self._position.step, drafts=can_write)
        except _Interrupted:
            self._leave()
        ranked = rank(validation, self._stage)
        if ranked is not None and self._validator.writes_drafts and not can_write:
            ranked = ranked._replace(varied=False)  # what noise would write need not be written to be known
        before = self._position.best
        better = ranked is None or before is None or ranked > before
        if better:
            self._best = snapshot(self._learner.whole)
        self._position = replace(
            self._position,
            validated=self._position.step,
            best=ranked if better else before,
            stale=0 if better else self._position.stale + 1,
        )
        self._report(replace(validation, chosen=better))
        self._save()

    def _report(self, validation: Validation) -> None:
        """Log a validation and show it; a collapse is said at once."""
        self._collapsed = validation.collapsed
        self._best_validation = validation if validation.chosen else self._best_validation
        shown = ("loss", "scores", "score", "distinct", "collapsed", "chosen")
        self._log("validation", **{key: getattr(validation, key) for key in shown})
        if self._processes.is_main:
            self._fitting.on_validation(validation)

    def _save(self) -> None:
        """Keep the whole state; all processes wait until it is on the disk."""
        if self._processes.is_main:
            self._run.save(
                TrainState(
                    position=self._position,
                    weights=snapshot(self._learner.whole),
                    best=self._best,
                    optimizer=self._learner.moments(),
                )
            )
        self._saved = time.monotonic()
        self._fitting.accelerator.wait_for_everyone()

    def _leave(self) -> NoReturn:
        """Save, and say how to go on."""
        self._save()
        asked = self._fitting.stop.signal or signal.SIGTERM  # without one of its own, another process had it
        raise StoppedError(
            f"stopped by {asked.name} at stage {self._stage.name!r}, step {self._position.step}; go on with --resume",
            asked,
        )

    def _pause(self) -> None:
        """Between two batches of a validation, which is done again from its beginning after a stop."""
        if self._fitting.stop:
            raise _Interrupted

    def _is_save_due(self) -> bool:
        return self._processes.is_main and time.monotonic() - self._saved >= 60 * self._recipe.save_minutes

    def _choose_precision(self) -> bool:
        """Whether to run in bf16: as before the stop, the recipe's wish, or what the first batch measures."""
        if self._position.bf16 is not None:
            return self._position.bf16
        if self._recipe.precision != "auto":
            return self._recipe.precision == "bf16"
        return self._processes.agree(self._processes.is_main and self._measure_precision())

    def _measure_precision(self) -> bool:
        model = self._fitting.checkpoint.model
        set_train_mode(model, self._stage.rates)
        batch, before = next(self._batches(0, 1)), snapshot(model)
        weights, batch = Weights.of(batch), send_to_device(batch, self._device)
        faster = is_bf16_faster(lambda: share(train_step(model, batch), weights, weights, self._stage), self._device)
        # The trial must leave no trace, neither in the gradients nor in the batch statistics of the encoder.
        model.zero_grad(set_to_none=True)
        model.load_state_dict(before)
        return faster

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=bool(self._position.bf16))

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of this process for the steps from `start` to `stop`."""
        plan = Plan(
            self._training,
            self._stage,
            (self._recipe.seed, self._index),
            steps=range(start, stop),
            rank=self._processes.rank,
            processes=self._processes.count,
        )
        items = Items(self._training, self._stage, transform_of(self._recipe), training=True)
        return iter(items.loader(plan, self._recipe.workers))

    def _training_groups(self) -> list[Sequence[TrainingExample]]:
        """The training studies by kind.

        Raises:
            CorpusError: there are none.
            RecipeError: a process would have none of a batch.
        """
        groups = groups_of(self._stage, self._fitting.examples, "train")
        name, size, processes = self._stage.name, self._stage.batch_size, self._processes.count
        if not groups:
            raise CorpusError(
                f"stage {name!r}: no training studies in {', '.join(self._stage.corpora)}; check the splits"
            )
        if size < processes:
            raise RecipeError(
                f"stage {name!r}: a batch_size of {size} leaves some of the {processes} processes without a study; "
                f"set at least {processes}"
            )
        return groups

    def _build_validator(self) -> Validator:
        recipe, examples = self._recipe, self._fitting.examples
        return Validator(
            self._fitting.checkpoint,
            self._stage,
            groups_of(self._stage, examples, "val"),
            transform_of(recipe),
            self._processes,
            longest=recipe.text.longest,
            writes_drafts=self._could_write or self._stage.rates.decoder > 0,
            taught_findings=has_taught_findings(recipe, examples, self._index + 1),
            autocast=self._autocast,
            pause=self._pause,
        )

    def _log(self, kind: str, **record: Any) -> None:
        if self._processes.is_main:
            self._run.log(kind, stage=self._stage.name, step=self._position.step, **record)


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What came of a step, the same on all processes."""

    loss: float
    report_loss: float | None
    finding_loss: float | None
    finite: bool
    """Whether the weights moved."""
    studies: int
    tokens: int
    asked_to_stop: bool
    save_due: bool


class _Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A stop was asked for inside a validation."""


def groups_of(stage: StageRecipe, examples: Examples, split: str) -> list[Sequence[TrainingExample]]:
    """The examples of a stage's corpora by kind; no group is empty."""
    return [group for name in stage.corpora for group in group_by_kind(examples[name][split])]


def has_taught_findings(recipe: Recipe, examples: Examples, stages: int) -> bool:
    """Whether the finding head has learned from images in the first `stages` stages."""
    return any(
        stage.finding_weight > 0
        and stage.rates.projector > 0
        and any(group[0].images for group in groups_of(stage, examples, "train"))
        for stage in recipe.stages[:stages]
    )


def transform_of(recipe: Recipe) -> PixelTransform:
    """How the recipe's encoder wants its images."""
    encoder = recipe.model.encoder
    return PixelTransform(size=encoder.image_size, channels=encoder.channels, mean=encoder.mean, std=encoder.std)


def _rates(optimizer: torch.optim.Optimizer, stage: StageRecipe) -> dict[str, float]:
    """Learning rate of the parts that learn."""
    group = optimizer.param_groups[0]
    peaks = {part: getattr(stage.rates, part) for part in ("encoder", "projector", "decoder")}
    return {part: peak * group["lr"] / group["peak"] for part, peak in peaks.items() if peak}


def _size(batch: Batch) -> int:
    return len(batch.study_ids)


def _seed(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1)[0])
