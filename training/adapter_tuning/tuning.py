"""The optimizer steps of a fine-tuning, with validation, the best adapter, saved states and stops."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import torch
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

from report_gen.backends import AnsweredChat
from report_gen.errors import CorpusError, RecipeError, StoppedError, UsageError

from ..data import draw_seed, prefetch
from ..engine import MAX_SKIPPED, check_tuning_state, rank
from ..optimization import set_rates
from ..recipe import TuningRecipe
from ..run import (
    LAST,
    Progress,
    Run,
    StopRequest,
    Tensors,
    TrainProgress,
    TrainState,
    Validation,
    pack_optimizer,
    unpack_optimizer,
)
from .adapters import load_trained_weights, set_train_mode, trained_parameters, trained_weights
from .chat_batches import answer_loss, join_chats
from .tunable_model import TunableModel
from .tuning_studies import ChatEncoder, StepBatches, TuningStudies
from .tuning_validation import TuningValidator

_LOGGED = ("loss", "report_loss", "rates", "seconds", "studies", "tokens")
_LOGGED_OF_VALIDATION = ("loss", "losses", "scores", "score", "distinct", "collapsed", "chosen")


class Tuning:
    """The training of adapters, continued from the state of a run.

    Args:
        recipe: The recipe.
        run: The run folder.
        model: Model with adapters.
        studies: Training and validation studies.
        stop: Whether the run shall stop.
        on_step: Called after every step.
        on_validation: Called after every validation.

    Raises:
        UsageError: The saved state is damaged, or that of other base weights.
    """

    def __init__(
        self,
        recipe: TuningRecipe,
        run: Run,
        model: TunableModel,
        studies: TuningStudies,
        *,
        stop: StopRequest,
        on_step: Callable[[Progress], None],
        on_validation: Callable[[Validation], None],
    ) -> None:
        self._recipe, self._run, self._model, self._stop = recipe, run, model, stop
        self._on_step, self._on_validation = on_step, on_validation
        encoder = ChatEncoder(recipe, model.generator, model.backend)
        self._batches = StepBatches(recipe, studies.training, encoder)
        self._validator = TuningValidator(recipe, model, encoder, studies.validation, pause=self._interrupt_validation)
        self._optimizer = _build_optimizer(model.network, recipe)
        self._progress = TrainProgress()
        self._best: Tensors = trained_weights(model.network)
        self._chosen: Validation | None = None
        self._collapsed, self._saved = False, time.monotonic()
        self._restore()

    def fit(self) -> Validation | None:
        """Train until the steps are done or validation stops improving; the model ends with the best adapter.

        Returns:
            The validation of the best adapter; None if it was in an earlier process.

        Raises:
            StoppedError: A signal asked the run to stop; it can be resumed.
            RecipeError: Loss or gradient was not finite in several steps in a row.
            CorpusError: A study cannot be used, or the studies of several steps in a row are left out.
        """
        recipe = self._recipe
        while True:
            at_boundary = self._progress.step % recipe.validate_every == 0 or self._progress.step == recipe.steps
            if at_boundary and self._progress.step != self._progress.validated:
                self._validate()
            if self._progress.step >= recipe.steps or self._progress.stale >= recipe.patience:
                break
            self._advance()
        load_trained_weights(self._model.network, self._best)
        self._model.network.eval()
        return self._chosen

    def _advance(self) -> None:
        """Run the steps up to the next validation; save at intervals, and stop on request."""
        start, every = self._progress.step, self._recipe.validate_every
        end = min(self._recipe.steps, (start // every + 1) * every)
        set_train_mode(self._model.network)
        for step, batches in zip(range(start, end), prefetch(self._batches, range(start, end), 0), strict=True):
            self._step(step, batches)
            if self._stop:
                self._save_and_stop()
            if time.monotonic() - self._saved >= 60 * self._recipe.save_minutes:
                self._save()

    def _step(self, step: int, batches: Sequence[Sequence[AnsweredChat]]) -> None:
        """Run one optimizer step. Its loss is the mean over all answer tokens of its batches.

        The update is skipped if loss or gradient is not finite.
        """
        began = time.monotonic()
        network, parts = self._model.network, [part for batch in batches for part in join_chats(batch)]
        tokens = sum(part.tokens for part in parts)
        set_rates(self._optimizer, self._recipe, step)
        self._optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for number, part in enumerate(parts):
            torch.manual_seed(draw_seed(self._recipe.seed, "dropout", step, number))
            with self._model.autocast():
                loss = answer_loss(network, part)
            torch.autograd.backward(loss / tokens)
            total += loss.item()
        mean = total / tokens if tokens else math.nan
        norm = clip_grad_norm_(trained_parameters(network).values(), self._recipe.clip)
        applied = math.isfinite(mean) and bool(norm.isfinite())
        if applied:
            self._optimizer.step()
        skipped = 0 if applied else self._progress.skipped + 1
        self._progress = replace(self._progress, step=step + 1, skipped=skipped)
        self._report_step(mean, tokens, sum(map(len, batches)), time.monotonic() - began)

    def _report_step(self, loss: float, tokens: int, studies: int, seconds: float) -> None:
        progress = Progress(
            stage=self._recipe.name,
            step=self._progress.step,
            steps=self._recipe.steps,
            loss=loss,
            report_loss=loss,
            finding_loss=None,
            rates={"adapter": self._optimizer.param_groups[0]["lr"]},
            seconds=seconds,
            studies=studies,
            tokens=tokens,
            best=self._chosen,
            collapsed=self._collapsed,
        )
        skipped = self._progress.skipped
        self._log("step", **{key: getattr(progress, key) for key in _LOGGED}, skipped=skipped > 0)
        self._on_step(progress)
        if skipped >= MAX_SKIPPED and not tokens:
            raise CorpusError(
                f"step {self._progress.step}: all studies of {MAX_SKIPPED} steps in a row are left out; the warnings "
                "say why"
            )
        if skipped >= MAX_SKIPPED:
            raise RecipeError(
                f"step {self._progress.step}: no finite loss and gradient in {MAX_SKIPPED} steps in a row, the loss is "
                f"{loss:.3g}; lower learning_rate and start a new run"
            )

    def _validate(self) -> None:
        """Validate, keep the adapter if it is the best so far, and save the state."""
        began = time.monotonic()
        try:
            validation = self._validator.validate(self._progress.step)
        except _Interrupted:
            self._save_and_stop()
        ranked, before = rank(validation, self._recipe), self._progress.best
        better = ranked is None or before is None or ranked > before
        if better:
            self._best = trained_weights(self._model.network)
        validation = replace(validation, chosen=better)
        self._progress = replace(
            self._progress,
            validated=self._progress.step,
            best=ranked if better else before,
            stale=0 if better else self._progress.stale + 1,
        )
        self._collapsed = validation.collapsed
        self._chosen = validation if better else self._chosen
        record = {key: getattr(validation, key) for key in _LOGGED_OF_VALIDATION}
        self._log("validation", **record, seconds=time.monotonic() - began)
        self._on_validation(validation)
        self._save()

    def _restore(self) -> None:
        """Continue from the saved state of the run, if it has one."""
        state = self._run.load()
        if state is None:
            return
        if state.base_sha256 != self._model.backend.info.weights_sha256:
            raise UsageError(
                f"{self._recipe.model}: its weights are others than when the run was started; restore them, or start a "
                "new run with another --output"
            )
        check_tuning_state(state, self._recipe, self._best, self._run.folder / LAST)
        with self._run.restoring():
            load_trained_weights(self._model.network, state.weights)
            unpack_optimizer(self._optimizer, state.optimizer or {}, steps=state.progress.step)
        self._progress, self._best = state.progress, state.best or state.weights

    def _save(self) -> None:
        self._run.save(
            TrainState(
                progress=self._progress,
                weights=trained_weights(self._model.network),
                best=self._best,
                optimizer=pack_optimizer(self._optimizer),
                seed=self._recipe.seed,
                base_sha256=self._model.backend.info.weights_sha256,
            )
        )
        self._saved = time.monotonic()

    def _save_and_stop(self) -> NoReturn:
        self._save()
        requested = self._stop.signal or signal.SIGTERM
        raise StoppedError(
            f"stopped by {requested.name} in step {self._progress.step}; continue with --resume", requested
        )

    def _interrupt_validation(self) -> None:
        """Leave a validation on a stop request; a resumed run repeats the validation."""
        if self._stop:
            raise _Interrupted

    def _log(self, kind: str, **record: Any) -> None:
        self._run.log(kind, stage=self._recipe.name, step=self._progress.step, **record)


class _Interrupted(Exception):  # noqa: N818 - a stop request is not an error
    """A stop was requested during a validation."""


def _build_optimizer(network: torch.nn.Module, recipe: TuningRecipe) -> AdamW:
    """Return AdamW over what is trained. Only matrices have weight decay."""
    parameters = trained_parameters(network).values()
    groups = [
        ([one for one in parameters if one.ndim > 1], recipe.weight_decay),
        ([one for one in parameters if one.ndim <= 1], 0.0),
    ]
    return AdamW(
        [{"params": group, "peak": recipe.learning_rate, "weight_decay": decay} for group, decay in groups if group],
        betas=(0.9, 0.98),
        fused=True,
    )
