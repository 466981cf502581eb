"""What a training step costs, beside a plain `Trainer` of transformers on the same studies.

Both loops train a randomly initialized ViT encoder and GPT-2 decoder of the same sizes on the same studies and tokens,
with the same batch size, learning rate and number of epochs, on the first image of each study. "report-gen" is the loop
of `report-gen train`: images decoded once, batches of similar length, bf16 where it is faster, cached features of a
frozen encoder. "Trainer" is the loop of a tutorial; see `plain_trainer.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from report_gen.phantom import write_phantom_corpus
from report_gen.prompting import load_prompt

from ..data import ExampleStore, TrainingExample, prepare
from ..engine import build_model, train
from ..recipe import Recipe
from ..run import LOG, Run, ignore_progress
from .pairs import Timing
from .plain_trainer import Epochs, Pair, train_plainly

_STAGE = "comparison"
_CORPUS = "corpus"
_ENCODER = "vit_tiny_patch16_224"
_VOCABULARY, _REPORT_TOKENS = 2000, 160
_RATE, _SEED = 3e-4, 0
_PHANTOMS, _SIDE = 120, 512
"""Number of drawn studies without a corpus, and the side length of their images."""


@dataclass(frozen=True, kw_only=True)
class TrainingSetup:
    """The training of both loops."""

    corpus: Path
    """Images with reports and a validation split."""
    frozen: bool
    """Whether the encoder is frozen."""
    batch_size: int = 16
    epochs: int = 2


@dataclass(frozen=True, kw_only=True)
class TrainingTimes:
    """Times and losses of both loops."""

    step: Timing
    """Seconds per step, one number per round."""
    preparation: Timing
    """Seconds of report-gen per training study before the first step: vocabulary, decoded images, frozen features."""
    losses: tuple[float, ...]
    """Validation loss of report-gen after the last epoch of each round, nats per token of a report."""
    other_losses: tuple[float, ...]
    """Those of the Trainer."""

    def describe_losses(self) -> str:
        """Return a sentence about the losses."""
        other = f", of the Trainer {np.median(self.other_losses):.3f}" if self.other_losses else ""
        return (
            f"Validation loss after the last epoch, nats per token: of report-gen {np.median(self.losses):.3f}{other}"
        )


def draw_corpus(folder: Path) -> Path:
    """Draw a corpus of chest radiographs for the comparison."""
    return write_phantom_corpus(folder / "corpus", studies=_PHANTOMS, size=_SIDE)


def time_training(setup: TrainingSetup, folder: Path, *, rounds: int, against: bool) -> TrainingTimes:
    """Train with both loops in turns; the first loop of a round alternates between rounds.

    Args:
        setup: The training of both loops.
        folder: Folder for the runs.
        rounds: Number of trainings by each loop.
        against: Whether the Trainer trains as well.
    """
    counted = _count_steps(setup, folder / "count")
    ours: list[tuple[Epochs, float]] = []
    theirs: list[Epochs] = []

    def train_ours(run: Path) -> None:
        ours.append(_train_ours(counted.recipe, run, counted.steps))

    def train_theirs(run: Path) -> None:
        theirs.append(_train_theirs(setup, counted, run))

    loops: list[Callable[[Path], None]] = [train_ours, *([train_theirs] if against else [])]
    for number in range(rounds):
        for position, loop in enumerate(loops if number % 2 == 0 else loops[::-1]):
            loop(folder / f"run-{number}-{position}")
    name = f"{'frozen' if setup.frozen else 'trained'} encoder, batches of {setup.batch_size}"
    studies = len(counted.pairs["train"])
    return TrainingTimes(
        step=Timing(
            case=f"training step, {name}",
            unit="step",
            seconds=tuple(_per_step(epochs, counted.steps) for epochs, _ in ours),
            other_seconds=tuple(_per_step(epochs, counted.steps) for epochs in theirs),
        ),
        preparation=Timing(
            case=f"preparation, {name}", unit="study", seconds=tuple(seconds / studies for _, seconds in ours)
        ),
        losses=tuple(epochs.validation_losses[-1] for epochs, _ in ours),
        other_losses=tuple(epochs.validation_losses[-1] for epochs in theirs),
    )


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """The recipe for the number of studies that the corpus has."""

    recipe: Recipe
    steps: int
    """Steps per epoch. The Trainer drops no batch, so its last one may be smaller."""
    pairs: dict[str, list[Pair]]


def _count_steps(setup: TrainingSetup, folder: Path) -> _Counted:
    recipe = _recipe(setup, 1)
    with Run.open(folder, recipe, resume=False) as run:
        prepared = prepare(recipe, run, load_prompt(recipe.text.prompt), on_progress=ignore_progress)
    pairs = {split: list(map(_pair, _complete(store))) for split, store in prepared.encoded.examples[_CORPUS].items()}
    steps = max(1, len(pairs["train"]) // setup.batch_size)
    pairs["train"] = pairs["train"][: steps * setup.batch_size]
    return _Counted(recipe=_recipe(setup, steps), steps=steps, pairs=pairs)


def _train_ours(recipe: Recipe, run: Path, steps: int) -> tuple[Epochs, float]:
    """Train with our loop; return its epochs and the seconds before its first step."""
    began = time.perf_counter()
    prepared_after: list[float] = []

    def on_progress(*_: Any) -> None:
        prepared_after[:] = [time.perf_counter() - began]

    train(recipe, run, resume=False, on_step=lambda _: None, on_progress=on_progress)
    lines = [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]
    seconds = [line["seconds"] for line in lines if line["kind"] == "step"]
    losses = [line["loss"] for line in lines if line["kind"] == "validation" and line["step"]]
    epochs = [sum(seconds[start : start + steps]) for start in range(0, len(seconds), steps)]
    return Epochs(tuple(epochs), tuple(losses)), (prepared_after or [0.0])[0]


def _train_theirs(setup: TrainingSetup, counted: _Counted, run: Path) -> Epochs:
    return train_plainly(
        build_model(counted.recipe, _VOCABULARY),
        counted.pairs["train"],
        counted.pairs["val"],
        epochs=setup.epochs,
        batch_size=setup.batch_size,
        rate=_RATE,
        frozen=setup.frozen,
        seed=_SEED,
        folder=run,
    )


def _per_step(epochs: Epochs, steps: int) -> float:
    return float(np.median(epochs.seconds)) / steps


def _complete(store: ExampleStore) -> list[TrainingExample]:
    return [example for example in store if example.images and example.report_ids]


def _pair(example: TrainingExample) -> Pair:
    return Pair(example.images[0], example.report_ids)


def _recipe(setup: TrainingSetup, steps: int) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "comparison",
            "seed": _SEED,
            "text": {
                "prompt": "caption",
                "vocabulary_size": _VOCABULARY,
                "drop_priors": False,
                "max_report_tokens": _REPORT_TOKENS,
            },
            "corpora": [{"name": _CORPUS, "path": str(setup.corpus.resolve())}],
            "model": {
                "conditioning": "cross_attention",
                "encoder": {"name": _ENCODER, "image_size": 224},
                "projector": {"patch_tokens": "all", "hidden": 192, "dropout": 0.0},
                "decoder": {"width": 256, "layers": 4, "heads": 4, "positions": 192, "dropout": 0.1},
            },
            "stages": [
                {
                    "name": _STAGE,
                    "corpora": [_CORPUS],
                    "steps": steps * setup.epochs,
                    "batch_size": setup.batch_size,
                    "augment": False,
                    "cached_features": int(setup.frozen),
                    "finding_weight": 0.0,
                    "state_dropout": 1.0,
                    "indication_dropout": 1.0,
                    "validate_every": steps,
                    "checkpoint_metric": "loss",
                    "patience": setup.epochs + 1,
                    "rates": {
                        "encoder": 0.0 if setup.frozen else _RATE,
                        "projector": _RATE,
                        "decoder": _RATE,
                    },
                }
            ],
        }
    )
