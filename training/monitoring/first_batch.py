"""The first batch of a stage, decoded back to words and pictures: what the model is really given."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from report_gen.config import STATES
from report_gen.model.projector import VIEWS
from report_gen.records.findings import FindingState

from ..data.batches import Batch
from ..data.data_loading import TrainingData
from ..data.preparation import Prepared
from ..optimization.objectives import IGNORED
from ..recipe.schema import Recipe
from ..run.processes import Processes
from .contact_sheet import Strip

_SHOWN = 24
"""Images of a stage."""


@dataclass(frozen=True, kw_only=True)
class FirstText:
    """A study as the decoder reads it, decoded back from its token ids."""

    study_id: str
    told: Mapping[FindingState, Sequence[str]]
    """Findings by the state that the decoder is told, but for the unknown ones."""
    prompt: str
    report: str
    tokens: int
    """Of prompt and report, with their marks."""


@dataclass(frozen=True, kw_only=True)
class FirstBatch:
    """The batches of a stage's first step."""

    seconds: float
    """That making them took."""
    texts: Sequence[FirstText]
    strips: Sequence[Strip]
    """Images, if there are any, changed as training changes them."""


def make_first_batch(recipe: Recipe, index: int, prepared: Prepared, processes: Processes) -> FirstBatch:
    """The batches of the first step of a stage, by its index."""
    stage = recipe.stages[index]
    feed, start = (
        TrainingData(recipe, index, prepared, processes),
        time.monotonic(),
    )  # without features, which are no pictures
    batches = list(islice(feed.steps(0, 1), stage.accumulate))
    return FirstBatch(
        seconds=time.monotonic() - start,
        texts=[text for batch in batches for text in _texts(batch, prepared)],
        strips=_strips(batches, recipe, stage.name),
    )


def _texts(batch: Batch, prepared: Prepared) -> Iterator[FirstText]:
    if not batch.input_ids.shape[1]:
        return
    tokenizer, findings = prepared.tokenizer, prepared.schema.findings
    for row, study_id in enumerate(batch.study_ids):
        there, trained = batch.attention_mask[row] > 0, batch.labels[row] != IGNORED
        states = [STATES[index] for index in batch.finding_states[row].tolist()]
        told = {state: [name for name, one in zip(findings, states, strict=True) if one is state] for state in STATES}
        yield FirstText(
            study_id=study_id,
            told={state: names for state, names in told.items() if names and state is not FindingState.UNKNOWN},
            prompt=tokenizer.decode(batch.input_ids[row][there & ~trained].tolist()),
            report=tokenizer.decode(batch.input_ids[row][trained].tolist()),
            tokens=int(there.sum()),
        )


def _strips(batches: Sequence[Batch], recipe: Recipe, stage: str) -> list[Strip]:
    encoder = recipe.model.encoder
    squares, labels = [], []
    for batch in batches:
        for row, view in batch.view_mask.nonzero().tolist():
            squares.append(batch.pixel_values[row, view, 0] * encoder.std + encoder.mean)
            labels.append(f"{batch.study_ids[row]} {VIEWS[batch.view_positions[row, view]]}")
    if not squares:
        return []
    return [Strip(f"stage {stage}, first batch", torch.stack(squares[:_SHOWN]), labels[:_SHOWN])]
