"""One stage of a run: steps, validations between them, and the best weights at its end."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NoReturn

import numpy as np
import torch
from accelerate.utils import send_to_device

from report_gen.errors import ReportGenError, StoppedError

from ..data.batches import Batch
from ..data.data_loading import TrainingData, has_trained_findings
from ..data.preparation import shared_cache
from ..optimization.optimizer import set_train_mode
from ..optimization.precision import measure_precision
from ..optimization.scst_sampler import ScstSampler
from ..run.events import Progress, Validation
from ..run.folder import TrainState
from ..run.processes import Processes
from ..run.state import snapshot
from .checkpoint_choice import rank
from .sharding import build_trainable_model
from .stage_context import Fitting
from .train_step import LossSums, Means, Weights, mean, scale_loss, train_step
from .validation import Validator

FAULTS = 3
"""Steps in a row without a finite loss and gradient after which a run ends; single ones are left out."""

_LOGGED = ("loss", "report_loss", "finding_loss", "attribute_loss", "rates", "seconds", "studies", "tokens")
_LOGGED_OF_VALIDATION = ("loss", "scores", "score", "distinct", "collapsed", "accuracies", "chosen")


class Stage:
    """One stage of a run, from a state of it on."""

    def __init__(self, fitting: Fitting, index: int, state: TrainState) -> None:
        self._fitting, self._index = fitting, index
        self._recipe, self._stage, self._run = fitting.recipe, fitting.recipe.stages[index], fitting.run
        self._model, self._device = fitting.checkpoint.model, fitting.accelerator.device
        self._processes = Processes(fitting.accelerator)
        self._data = TrainingData(self._recipe, index, fitting.prepared, self._processes)
        self._data.keep_features(shared_cache(self._recipe, self._run), self._model.encoder, fitting.on_progress)
        self._position = replace(state.position, bf16=self._choose_precision(state.position.bf16))
        self._best = state.best or state.weights
        self._trainable = build_trainable_model(self._model, self._stage, fitting.accelerator)
        with self._run.reading():
            self._trainable.restore(state)
        self._scst = ScstSampler(
            fitting.checkpoint, self._stage, self._data.training, self._processes, longest=self._recipe.text.longest
        )
        self._validator = self._build_validator()
        self._chosen: Validation | None = None
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
        self._model.load_state_dict(dict(self._best))
        self._trainable.release()

    def _is_validation_due(self) -> bool:
        """At every boundary, and before the first step: what a stage begins with is the first to be beaten."""
        step = self._position.step
        at_boundary = step % self._stage.validate_every == 0 or step == self._stage.steps
        return at_boundary and step != self._position.validated

    def _advance(self) -> None:
        """Step up to the next validation; save now and then, and leave when asked to."""
        start, every = self._position.step, self._stage.validate_every
        stop = min(self._stage.steps, (start // every + 1) * every)
        set_train_mode(self._trainable.learning, self._stage.rates)
        batches = self._data.steps(start, stop)
        for step in range(start, stop):
            began = time.monotonic()
            outcome = self._step(list(islice(batches, self._stage.accumulate)), step)
            faults = 0 if outcome.moved else self._position.faults + 1
            self._position = replace(self._position, step=step + 1, faults=faults)
            self._tell(outcome, time.monotonic() - began)
            if outcome.asked_to_stop or (self._processes.count == 1 and self._fitting.stop):
                self._leave()
            if outcome.save_due:
                self._save()

    def _step(self, batches: Sequence[Batch], step: int) -> _Outcome:
        """One step over its batches; where loss or gradient is no number the weights stay as they are."""
        weights = [Weights.of(batch) for batch in batches]
        mine = sum(len(batch.study_ids) for batch in batches)
        asked, due, studies, *weighed = self._processes.sum(
            [bool(self._fitting.stop), self._is_save_due(), mine, *np.sum(weights, axis=0).tolist()]
        )
        totals, sums = Weights(*weighed), np.array(LossSums())
        # -------------------------------------------------------------------------------- one training step
        rates = self._trainable.set_rates(step)
        for number, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            torch.manual_seed(_seed(self._recipe.seed, self._index, step, number, self._processes.rank))
            batch = send_to_device(batch, self._device)
            with self._trainable.gathering(last=number == len(batches) - 1):
                with self._autocast():
                    sampled = self._scst.sample(batch, _seed(self._recipe.seed, self._index, step, number))
                    losses = train_step(self._trainable.forward, batch, self._stage, sampled)
                self._trainable.learn(scale_loss(losses, weight, totals, self._stage, self._data.usual_tokens))
            sums += losses.sums(weight)
        means = mean(self._processes.sum(sums.tolist()), totals, self._stage)
        moved = self._trainable.step(step, apply=math.isfinite(means.loss))
        # ----------------------------------------------------------------------------------------------------
        return _Outcome(
            means=means,
            rates=rates,
            moved=moved,
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
            loss=outcome.means.loss,
            report_loss=outcome.means.report,
            finding_loss=outcome.means.finding,
            attribute_loss=outcome.means.attribute,
            rates=outcome.rates,
            seconds=seconds,
            studies=outcome.studies,
            tokens=outcome.tokens,
            best=self._chosen,
            collapsed=self._collapsed,
        )
        self._log("step", **{key: getattr(progress, key) for key in _LOGGED}, left_out=not outcome.moved)
        if self._processes.is_main:
            self._fitting.on_step(progress)
        if self._position.faults >= FAULTS:
            raise ReportGenError(
                f"stage {name!r}, step {step}: no finite loss and gradient for {FAULTS} steps in a row, the loss is "
                f"{outcome.means.loss:.3g}; lower the learning rates and start anew"
            )

    def _validate(self) -> None:
        """Validate, keep the weights if they are the best, and save."""
        began = time.monotonic()
        self._trainable.collect()
        try:
            with self._trainable.averaged():
                validation = self._validator.validate(self._position.step)
                ranked, before = rank(validation, self._stage), self._position.best
                better = ranked is None or before is None or ranked > before
                if better:
                    self._best = snapshot(self._model)
        except _Interrupted:
            self._leave()
        self._position = replace(
            self._position,
            validated=self._position.step,
            best=ranked if better else before,
            stale=0 if better else self._position.stale + 1,
        )
        self._report(replace(validation, chosen=better), time.monotonic() - began)
        self._save()

    def _report(self, validation: Validation, seconds: float) -> None:
        """Log a validation and show it; a collapse is said at once."""
        self._collapsed = validation.collapsed
        self._chosen = validation if validation.chosen else self._chosen
        self._log("validation", **{key: getattr(validation, key) for key in _LOGGED_OF_VALIDATION}, seconds=seconds)
        if self._processes.is_main:
            self._fitting.on_validation(validation)

    def _save(self) -> None:
        """Keep the whole state; all processes wait until it is on the disk."""
        trainable = self._trainable
        trainable.collect()
        if self._processes.is_main or trainable.is_sharded:
            state = TrainState(
                position=self._position,
                weights=snapshot(self._model),
                best=self._best,
                optimizer=trainable.moments(),
                average=trainable.average(),
            )
            if self._processes.is_main:
                self._run.save(state)
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
        if self._fitting.stop and not self._trainable.is_sharded:
            raise _Interrupted

    def _is_save_due(self) -> bool:
        return self._processes.is_main and time.monotonic() - self._saved >= 60 * self._recipe.save_minutes

    def _choose_precision(self, chosen: bool | None) -> bool:
        """Whether to run in bf16: as before a stop, the recipe's wish, or what the first batch measures."""
        if chosen is not None or self._recipe.precision != "auto":
            return self._recipe.precision == "bf16" if chosen is None else chosen
        faster = False
        if self._processes.is_main:
            batch = send_to_device(next(self._data.steps(0, 1)), self._device)
            faster = measure_precision(self._model, self._stage, batch)
        return self._processes.agree(faster)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=bool(self._position.bf16))

    def _build_validator(self) -> Validator:
        recipe, stages = self._recipe, self._recipe.stages
        return Validator(
            self._fitting.checkpoint,
            self._stage,
            self._data,
            self._processes,
            longest=recipe.text.longest,
            can_write=recipe.model.decoder_weights is not None or any(s.rates.decoder for s in stages[: self._index]),
            knows_findings=has_trained_findings(recipe, self._fitting.prepared, self._index + 1),
            autocast=self._autocast,
            pause=self._pause,
        )

    def _log(self, kind: str, **record: Any) -> None:
        if self._processes.is_main:
            self._run.log(kind, stage=self._stage.name, step=self._position.step, **record)


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What came of a step, the same on all processes."""

    means: Means
    rates: Mapping[str, float]
    moved: bool
    """Whether the weights did; they do not where loss or gradient is no number."""
    studies: int
    tokens: int
    asked_to_stop: bool
    """Whether any process was, before the step."""
    save_due: bool


class _Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """A stop was asked for inside a validation."""


def _seed(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1)[0])
