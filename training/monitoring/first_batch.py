"""Decode the first batch of a stage back into text and images, to show the input of the training."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from report_gen.config import STATES, VIEWS
from report_gen.records import FindingState

from ..data import IGNORED, Batch, PreparedCorpora, TrainingData, image_transform
from ..recipe import Recipe
from ..run import Processes
from .contact_sheet import Strip

_SHOWN = 24
"""Images shown per stage."""


@dataclass(frozen=True, kw_only=True)
class FirstText:
    """A study as the decoder reads it, decoded from its token ids."""

    study_id: str
    states: Mapping[FindingState, Sequence[str]]
    """Findings by the state that conditions the decoder, without unknown ones."""
    prompt: str
    report: str
    tokens: int
    """Tokens of prompt and report, special tokens included."""


@dataclass(frozen=True, kw_only=True)
class FirstBatch:
    """The batches of the first step of a stage."""

    seconds: float
    """Seconds to make the batches."""
    texts: Sequence[FirstText]
    strips: Sequence[Strip]
    """Images with augmentation, if there are any."""


def make_first_batch(recipe: Recipe, index: int, prepared: PreparedCorpora, processes: Processes) -> FirstBatch:
    """Make the batches of the first step of the stage at `index`, with pixels even if features are to be cached.

    Args:
        recipe: The recipe.
        index: Index of the stage.
        prepared: The prepared corpora.
        processes: The processes of the run.
    """
    stage, data = recipe.stages[index], TrainingData(recipe, index, prepared, processes)
    start = time.monotonic()
    batches = list(islice(data.steps(0, 1), stage.accumulate))
    return FirstBatch(
        seconds=time.monotonic() - start,
        texts=[text for batch in batches for text in _texts(batch, prepared)],
        strips=_strips(batches, recipe, stage.name),
    )


def _texts(batch: Batch, prepared: PreparedCorpora) -> Iterator[FirstText]:
    if not batch.input_ids.shape[1]:
        return
    tokenizer, findings = prepared.tokenizer, prepared.schema.findings
    for row, study_id in enumerate(batch.study_ids):
        present, labeled = batch.attention_mask[row] > 0, batch.labels[row] != IGNORED
        states = [STATES[index] for index in batch.finding_states[row].tolist()]
        by_state = {one: [name for name, state in zip(findings, states, strict=True) if state is one] for one in STATES}
        yield FirstText(
            study_id=study_id,
            states={state: names for state, names in by_state.items() if names and state is not FindingState.UNKNOWN},
            prompt=tokenizer.decode(batch.input_ids[row][present & ~labeled].tolist()),
            report=tokenizer.decode(batch.input_ids[row][labeled].tolist()),
            tokens=int(present.sum()),
        )


def _strips(batches: Sequence[Batch], recipe: Recipe, stage: str) -> list[Strip]:
    transform = image_transform(recipe)
    squares, labels = [], []
    for batch in batches:
        for row, view in batch.view_mask.nonzero().tolist():
            squares.append(transform.denormalize(batch.pixel_values[row, view])[0])
            labels.append(f"{batch.study_ids[row]} {VIEWS[batch.view_positions[row, view]]}")
    if not squares:
        return []
    return [Strip(f"stage {stage}, first batch", torch.stack(squares[:_SHOWN]), labels[:_SHOWN])]
