"""A recipe to a trained model: stages of training steps on accelerate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device

from report_gen.errors import CorpusError, ReportGenError
from report_gen.model import ReportModel
from report_gen.pixels import PixelTransform

from .batches import Batch, Items
from .examples import TrainingExample
from .objectives import finding_loss, report_loss
from .optim import build_optimizer, set_rates, set_train_mode
from .plan import Plan, group_by_kind
from .precision import is_bf16_faster
from .recipe import Recipe, StageRecipe
from .runs import Position, Run, snapshot
from .sampling import Sampled, self_critical_loss

Examples = Mapping[str, Mapping[str, list[TrainingExample]]]
"""Corpus name -> split -> examples."""


@dataclass(frozen=True)
class Progress:
    """What a door may show after a step."""

    stage: str
    step: int
    steps: int
    loss: float
    validation_loss: float
    """Lowest of the stage; infinite without a validation split."""


def fit(
    model: ReportModel,
    recipe: Recipe,
    examples: Examples,
    run: Run,
    accelerator: Accelerator,
    *,
    on_step: Callable[[Progress], None],
) -> None:
    """Train through the stages, from where the run stopped; the model ends with the best weights of the last stage."""
    first = run.position()
    best = run.restore(model)
    for index in range(first.stage, len(recipe.stages)):
        position = first if index == first.stage else Position(stage=index)
        trainer = _Stage(model, recipe, index, examples, run, accelerator, on_step)
        trainer.fit(position, best or snapshot(model))
        best = None
        if accelerator.is_main_process:
            run.save(Position(stage=index + 1), model)


def validation_batches(model: ReportModel, recipe: Recipe, examples: Examples) -> Iterator[Batch]:
    """All validation studies with images, as the last stage sees them, on the model's device."""
    stage, transform = recipe.stages[-1], _transform(recipe)
    groups = [[example for example in corpus["val"] if example.images] for corpus in examples.values()]
    items = Items([group for group in groups if group], stage, transform, training=False)
    for batch in items.validation(stage.batch_size):
        yield send_to_device(batch, next(model.parameters()).device)


def train_step(
    model: torch.nn.Module, batch: Batch, stage: StageRecipe, sampled: Sampled | None = None
) -> torch.Tensor:
    """The loss of one batch: of the report tokens where there are texts, of the findings where there are images.

    With `sampled` drafts their self-critical loss comes from the same forward pass.
    """
    texts = batch if sampled is None else sampled
    output = model(
        pixel_values=batch.pixel_values,
        view_positions=batch.view_positions,
        view_mask=batch.view_mask,
        input_ids=texts.input_ids,
        attention_mask=texts.attention_mask,
        finding_states=batch.finding_states,
        patch_features=batch.patch_features,
    )
    loss = batch.finding_targets.new_zeros(())
    if output.finding_logits is not None:
        loss = loss + stage.finding_weight * finding_loss(output.finding_logits, batch.finding_targets)
    if output.logits is not None:
        studies, length = batch.labels.shape
        own = output.logits[:studies, :length]
        loss = loss + report_loss(own, batch.labels, batch.token_weights, stage.label_smoothing)
    if output.logits is not None and sampled is not None:
        loss = loss + stage.reward.weight * self_critical_loss(output.logits, sampled, batch, stage.reward)
    return loss


class _Stage:
    """One stage of a run."""

    def __init__(
        self,
        model: ReportModel,
        recipe: Recipe,
        index: int,
        examples: Examples,
        run: Run,
        accelerator: Accelerator,
        on_step: Callable[[Progress], None],
    ) -> None:
        self._model, self._recipe, self._index = model, recipe, index
        self._stage = recipe.stages[index]
        self._bf16 = False
        self._run, self._accelerator, self._on_step = run, accelerator, on_step
        self._transform = _transform(recipe)
        self._training, self._validation = self._groups(examples, "train"), self._groups(examples, "val")

    def fit(self, position: Position, best: dict[str, torch.Tensor]) -> None:
        """Step until the recipe's steps are done or validation stops getting better; keep the best weights."""
        optimizer = build_optimizer(self._model, self._stage)
        self._run.restore_optimizer(optimizer, position)
        model, optimizer = self._accelerator.prepare(self._model, optimizer)
        self._bf16 = self._choose_precision(model)
        if position.step == 0:
            # What the stage begins with is its first best: a stage that only makes it worse changes nothing.
            loss = self._validate()
            position = replace(position, best_loss=math.inf if loss is None else loss)
        while position.step < self._stage.steps and position.stale < self._stage.patience:
            position = self._steps(model, optimizer, position)
            loss = self._validate()
            improved = loss is None or loss < position.best_loss
            best = snapshot(self._model) if improved else best
            position = replace(
                position,
                best_loss=position.best_loss if loss is None else min(loss, position.best_loss),
                stale=0 if improved else position.stale + 1,
            )
            if self._accelerator.is_main_process:
                self._run.log(stage=self._stage.name, step=position.step, validation_loss=loss, bf16=self._bf16)
                self._run.save(position, self._model, best, optimizer)
        self._model.load_state_dict(best)

    def _steps(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, position: Position) -> Position:
        """Train up to the next validation."""
        stop = min(self._stage.steps, (position.step // self._stage.validate_every + 1) * self._stage.validate_every)
        set_train_mode(self._model, self._stage.rates)
        for step, batch in enumerate(self._batches(position.step, stop), start=position.step):
            # ---------------------------------------------------------------------------- one training step
            torch.manual_seed(_seed(self._recipe.seed, self._index, step))
            set_rates(optimizer, self._stage, step)
            with self._autocast():
                loss = train_step(model, batch, self._stage)
            self._accelerator.backward(loss)
            self._accelerator.clip_grad_norm_(model.parameters(), self._stage.clip)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            # -----------------------------------------------------------------------------------------------
            value = loss.item()
            if not math.isfinite(value):
                raise ReportGenError(
                    f"stage {self._stage.name!r}, step {step}: the loss is {value}; lower the learning rates"
                )
            if self._accelerator.is_main_process:
                self._run.log(stage=self._stage.name, step=step, loss=value)
                self._on_step(Progress(self._stage.name, step + 1, self._stage.steps, value, position.best_loss))
        return replace(position, step=stop)

    @torch.inference_mode()
    def _validate(self) -> float | None:
        """Mean loss over the batches of the validation split, if there is one."""
        if not self._validation:
            return None
        self._model.eval()
        losses = []
        for batch in Items(self._validation, self._stage, self._transform, training=False).validation(
            self._stage.batch_size
        ):
            with self._autocast():
                losses.append(train_step(self._model, self._to_device(batch), self._stage).item())
        return sum(losses) / len(losses)

    def _choose_precision(self, model: torch.nn.Module) -> bool:
        """Whether to run in bf16: the recipe's wish, or what the stage's first batch measures."""
        if self._recipe.precision != "auto":
            return self._recipe.precision == "bf16"
        set_train_mode(self._model, self._stage.rates)
        batch, before = next(self._batches(0, 1)), snapshot(self._model)
        faster = is_bf16_faster(lambda: train_step(model, batch, self._stage), self._accelerator.device)
        # The trial must leave no trace, neither in the gradients nor in the batch statistics of the encoder.
        self._model.zero_grad(set_to_none=True)
        self._model.load_state_dict(before)
        return faster

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._accelerator.device.type, torch.bfloat16, enabled=self._bf16)

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        plan = Plan(
            self._training,
            self._stage,
            (self._recipe.seed, self._index),
            steps=range(start, stop),
            rank=self._accelerator.process_index,
            processes=self._accelerator.num_processes,
        )
        items = Items(self._training, self._stage, self._transform, training=True)
        for batch in items.loader(plan, self._recipe.workers):
            yield self._to_device(batch)

    def _groups(self, examples: Examples, split: str) -> list[list[TrainingExample]]:
        chosen = [examples[name][split] for name in self._stage.corpora]
        if split == "train" and not any(chosen):
            raise CorpusError(
                f"stage {self._stage.name!r}: no training studies in {', '.join(self._stage.corpora)}; check the splits"
            )
        return [group for corpus in chosen for group in group_by_kind(corpus)]

    def _to_device(self, batch: Batch) -> Batch:
        moved: Batch = send_to_device(batch, self._accelerator.device)
        return moved


def _transform(recipe: Recipe) -> PixelTransform:
    encoder = recipe.model.encoder
    return PixelTransform(size=encoder.image_size, channels=encoder.channels, mean=encoder.mean, std=encoder.std)


def _seed(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1)[0])
