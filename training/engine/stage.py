"""One stage of a run.

A stage adds to `train_step`: the optimizer step over several batches and processes, validation, the best weights, saved
states, and the response to stop requests and to losses that are not finite.
"""

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

from report_gen.errors import RecipeError, StoppedError

from ..data import Batch, TrainingData, shared_cache, trained_findings
from ..optimization import ScstSampler, set_train_mode
from ..run import Processes, Progress, TrainState, Validation, snapshot
from .checkpoint_choice import rank
from .precision import measure_precision
from .resume_check import MAX_SKIPPED
from .run_context import RunContext
from .sharding import build_trainable_model
from .train_step import LossCounts, LossSums, MeanLosses, mean_losses, train_step
from .validation import Validator

_LOGGED = (
    "loss",
    "report_loss",
    "finding_loss",
    "attribute_loss",
    "location_loss",
    "attention_loss",
    "rates",
    "seconds",
    "studies",
    "tokens",
)
_LOGGED_OF_VALIDATION = ("loss", "losses", "scores", "score", "distinct", "collapsed", "accuracies", "chosen")


class Stage:
    """One stage of a run, continued from a state."""

    def __init__(self, context: RunContext, index: int, state: TrainState) -> None:
        self._context, self._index = context, index
        self._recipe, self._stage, self._run = context.recipe, context.recipe.stages[index], context.run
        self._model, self._device = context.checkpoint.model, context.accelerator.device
        self._processes = Processes(context.accelerator)
        self._data = TrainingData(self._recipe, index, context.prepared, self._processes)
        self._data.cache_features(shared_cache(self._recipe, self._run), self._model.encoder, context.on_progress)
        self._progress = replace(state.progress, bf16=self._choose_precision(state.progress.bf16))
        self._is_continued = state.best is not None
        """Whether the state was saved in this stage, whose start is in the log then."""
        self._best = state.best or state.weights
        self._trainable = build_trainable_model(self._model, self._stage, context.accelerator)
        with self._run.restoring():
            self._trainable.restore(state)
        self._scst = ScstSampler(
            context.checkpoint,
            self._stage,
            self._data.training,
            self._processes,
            max_report_tokens=self._recipe.text.max_report_tokens,
        )
        self._validator = self._build_validator()
        self._chosen: Validation | None = None
        self._collapsed, self._saved = False, time.monotonic()

    def fit(self) -> None:
        """Train until the steps are done or validation stops improving; the model ends with the best weights."""
        if not self._is_continued:
            self._log("stage", bf16=self._progress.bf16, processes=self._processes.count)
        while True:
            if self._is_validation_due():
                self._validate()
            if self._progress.step >= self._stage.steps or self._progress.stale >= self._stage.patience:
                break
            self._advance()
        self._model.load_state_dict(dict(self._best))
        self._trainable.release()

    def _is_validation_due(self) -> bool:
        """Validate every `validate_every` steps, at the end, and before the first step: the initial weights compete."""
        step = self._progress.step
        at_boundary = step % self._stage.validate_every == 0 or step == self._stage.steps
        return at_boundary and step != self._progress.validated

    def _advance(self) -> None:
        """Run the steps up to the next validation; save at intervals, and stop on request."""
        start, every = self._progress.step, self._stage.validate_every
        stop = min(self._stage.steps, (start // every + 1) * every)
        set_train_mode(self._trainable.module, self._stage.rates)
        batches = self._data.steps(start, stop)
        for step in range(start, stop):
            began = time.monotonic()
            outcome = self._step(list(islice(batches, self._stage.accumulate)), step)
            skipped = 0 if outcome.applied else self._progress.skipped + 1
            self._progress = replace(self._progress, step=step + 1, skipped=skipped)
            self._report_step(outcome, time.monotonic() - began)
            if outcome.stop_requested or (self._processes.count == 1 and self._context.stop):
                self._stop()
            if outcome.save_due:
                self._save()

    def _step(self, batches: Sequence[Batch], step: int) -> _Outcome:
        """Run one optimizer step over its batches; it is skipped if loss or gradient is not finite."""
        counts = [LossCounts.of(batch) for batch in batches]
        studies = sum(len(batch.study_ids) for batch in batches)
        stop_requested, save_due, all_studies, *all_counts = self._processes.sum(
            [bool(self._context.stop), self._is_save_due(), studies, *np.sum(counts, axis=0).tolist()]
        )
        step_counts, sums = LossCounts(*all_counts), np.array(LossSums())
        rates = self._trainable.set_rates(step)
        for number, (batch, batch_counts) in enumerate(zip(batches, counts, strict=True)):
            torch.manual_seed(_seed(self._recipe.seed, self._index, step, number, self._processes.rank))
            batch = send_to_device(batch, self._device)
            with self._trainable.gradient_sync(last=number == len(batches) - 1):
                with self._autocast():
                    losses = train_step(
                        self._trainable.wrapped,
                        batch,
                        self._stage,
                        sampled=self._scst.sample(batch, _seed(self._recipe.seed, self._index, step, number)),
                        step_counts=step_counts,
                        usual_tokens=self._data.usual_tokens,
                    )
                self._trainable.backward(losses.total)
            sums += losses.sums(batch_counts)
        means = mean_losses(self._processes.sum(sums.tolist()), step_counts, self._stage)
        return _Outcome(
            means=means,
            rates=rates,
            applied=self._trainable.step(step, apply=math.isfinite(means.loss)),
            studies=int(all_studies),
            tokens=int(step_counts.tokens),
            stop_requested=bool(stop_requested),
            save_due=bool(save_due),
        )

    def _report_step(self, outcome: _Outcome, seconds: float) -> None:
        """Log the step and show it.

        Raises:
            RecipeError: This was the last of `MAX_SKIPPED` skipped steps in a row.
        """
        step, name = self._progress.step, self._stage.name
        progress = Progress(
            stage=name,
            step=step,
            steps=self._stage.steps,
            loss=outcome.means.loss,
            report_loss=outcome.means.report,
            finding_loss=outcome.means.finding,
            attribute_loss=outcome.means.attribute,
            location_loss=outcome.means.location,
            attention_loss=outcome.means.attention,
            rates=outcome.rates,
            seconds=seconds,
            studies=outcome.studies,
            tokens=outcome.tokens,
            best=self._chosen,
            collapsed=self._collapsed,
        )
        self._log("step", **{key: getattr(progress, key) for key in _LOGGED}, skipped=not outcome.applied)
        if self._processes.is_main:
            self._context.on_step(progress)
        if self._progress.skipped >= MAX_SKIPPED:
            raise RecipeError(
                f"stage {name!r}, step {step}: no finite loss and gradient in {MAX_SKIPPED} steps in a row, the loss "
                f"is {outcome.means.loss:.3g}; lower the learning rates and start a new run"
            )

    def _validate(self) -> None:
        """Validate, keep the weights if they are the best so far, and save the state."""
        began = time.monotonic()
        self._trainable.gather_weights()
        try:
            with self._trainable.ema_weights():
                validation = self._validator.validate(self._progress.step)
                ranked, before = rank(validation, self._stage), self._progress.best
                better = ranked is None or before is None or ranked > before
                if better:
                    self._best = snapshot(self._model)
        except _Interrupted:
            self._stop()
        self._progress = replace(
            self._progress,
            validated=self._progress.step,
            best=ranked if better else before,
            stale=0 if better else self._progress.stale + 1,
        )
        self._report_validation(replace(validation, chosen=better), time.monotonic() - began)
        self._save()

    def _report_validation(self, validation: Validation, seconds: float) -> None:
        self._collapsed = validation.collapsed
        self._chosen = validation if validation.chosen else self._chosen
        self._log("validation", **{key: getattr(validation, key) for key in _LOGGED_OF_VALIDATION}, seconds=seconds)
        if self._processes.is_main:
            self._context.on_validation(validation)

    def _save(self) -> None:
        """Save the whole state; all processes wait until it is on disk."""
        trainable = self._trainable
        trainable.gather_weights()
        if self._processes.is_main or trainable.is_sharded:
            state = TrainState(
                progress=self._progress,
                weights=snapshot(self._model),
                best=self._best,
                optimizer=trainable.optimizer_state(),
                ema=trainable.ema_state(),
                seed=self._recipe.seed,
            )
            if self._processes.is_main:
                self._run.save(state)
        self._saved = time.monotonic()
        self._context.accelerator.wait_for_everyone()

    def _stop(self) -> NoReturn:
        """Save the state, and end the run with a message."""
        self._save()
        requested = self._context.stop.signal or signal.SIGTERM  # if another process got the signal, it is unknown here
        place = f"stage {self._stage.name!r}, step {self._progress.step}"
        raise StoppedError(f"stopped by {requested.name} in {place}; continue with --resume", requested)

    def _interrupt_validation(self) -> None:
        """Leave a validation on a stop request; a resumed run repeats the validation."""
        if self._context.stop and not self._trainable.is_sharded:
            raise _Interrupted

    def _is_save_due(self) -> bool:
        return self._processes.is_main and time.monotonic() - self._saved >= 60 * self._recipe.save_minutes

    def _choose_precision(self, chosen: bool | None) -> bool:
        """Return whether to use bf16: the choice before a stop, the recipe's, or a measurement on the first batch."""
        if chosen is not None or self._recipe.precision != "auto":
            return self._recipe.precision == "bf16" if chosen is None else chosen
        faster = False
        if self._processes.is_main:
            batch = send_to_device(next(self._data.steps(0, 1)), self._device)
            faster = measure_precision(self._model, self._stage, batch)
        return self._processes.broadcast(faster)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=bool(self._progress.bf16))

    def _build_validator(self) -> Validator:
        recipe, stages = self._recipe, self._recipe.stages
        return Validator(
            self._context.checkpoint,
            self._stage,
            self._data,
            self._processes,
            max_report_tokens=recipe.text.max_report_tokens,
            can_write=recipe.model.decoder_weights is not None or any(s.rates.decoder for s in stages[: self._index]),
            trained_findings=trained_findings(recipe, self._context.prepared, self._index + 1),
            costs=recipe.decisions,
            autocast=self._autocast,
            pause=self._interrupt_validation,
        )

    def _log(self, kind: str, **record: Any) -> None:
        if self._processes.is_main:
            self._run.log(kind, stage=self._stage.name, step=self._progress.step, **record)


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """Result of a step, the same on all processes."""

    means: MeanLosses
    rates: Mapping[str, float]
    applied: bool
    """Whether the weights were updated; they are not if loss or gradient is not finite."""
    studies: int
    tokens: int
    stop_requested: bool
    """Whether any process had been asked to stop before the step."""
    save_due: bool


class _Interrupted(Exception):  # noqa: N818 - a stop request is not an error
    """A stop was requested during a validation."""


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
