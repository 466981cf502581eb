"""Which examples a step sees: it follows from the seed and the step alone, so a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from report_gen.model.config import STATES
from report_gen.report import FINDINGS, FindingState

from .examples import TrainingExample
from .recipe import StageRecipe

_BUCKET = 8
"""Batches whose reports are sorted by length together."""


class Draw(NamedTuple):
    """One example of one step, with the seed of all that is random about it."""

    group: int
    place: int
    seed: tuple[int, ...]


class Plan(Sampler[list[Draw]]):
    """The batches of a stage: its groups of examples in turn, each shuffled an epoch at a time.

    Args:
        groups: lists of examples of one kind each.
        seed: of the stage.
        steps: those of the stage that are wanted; each has `accumulate` batches, which follow each other.
        rank: of this process among `processes`; each takes its rows of every batch.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[TrainingExample]],
        stage: StageRecipe,
        seed: tuple[int, ...],
        *,
        steps: range,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self._sizes = [len(group) for group in groups]
        self._lengths = [np.array([len(example.report_ids) for example in group]) for group in groups]
        self._chances = [_chances(group, stage.rarity) for group in groups]
        self._stage, self._seed = stage, seed
        self._micro_steps = range(steps.start * stage.accumulate, steps.stop * stage.accumulate)
        self._rank, self._processes = rank, processes

    def __len__(self) -> int:
        return len(self._micro_steps)

    def __iter__(self) -> Iterator[list[Draw]]:
        epochs: dict[int, tuple[int, list[NDArray[np.int64]]]] = {}
        for step in self._micro_steps:
            group, turn = step % len(self._sizes), step // len(self._sizes)
            epoch, turn = divmod(turn, self._batches(group))
            if epochs.get(group, (None,))[0] != epoch:
                epochs[group] = (epoch, self._shuffle(group, epoch))
            draws = [
                Draw(group, int(place), (*self._seed, step, row)) for row, place in enumerate(epochs[group][1][turn])
            ]
            yield draws[self._rank :: self._processes]

    def _batches(self, group: int) -> int:
        return max(1, self._sizes[group] // self._stage.batch_size)

    def _shuffle(self, group: int, epoch: int) -> list[NDArray[np.int64]]:
        """An epoch's batches; reports of like length share one, so that little of it is padding."""
        random, size = np.random.default_rng((*self._seed, group, epoch)), self._stage.batch_size
        order = random.choice(
            self._sizes[group],
            max(size, self._batches(group) * size),
            replace=self._stage.rarity > 0 or self._sizes[group] < size,
            p=self._chances[group],
        )
        batches = []
        for start in range(0, len(order), size * _BUCKET):
            bucket = order[start : start + size * _BUCKET]
            bucket = bucket[np.argsort(self._lengths[group][bucket], kind="stable")]
            batches += np.split(bucket, len(bucket) // size)
        return [batches[place] for place in random.permutation(len(batches))]


def group_by_kind(examples: Sequence[TrainingExample]) -> list[list[TrainingExample]]:
    """Examples with images, with texts, with both: each kind a list of its own."""
    kinds = sorted({example.kind for example in examples})
    return [[example for example in examples if example.kind == kind] for kind in kinds]


def _chances(examples: Sequence[TrainingExample], rarity: float) -> NDArray[np.float64]:
    """Chance of every example to be drawn: by the rarest finding its text has present, to the power of `rarity`."""
    present = np.stack([example.states for example in examples]) == STATES.index(FindingState.PRESENT)
    present[:, FINDINGS.index("No Finding")] |= ~present.any(axis=1)
    rarest = np.where(present, 1 / np.maximum(present.sum(axis=0), 1), 0).max(axis=1)
    weights = rarest**rarity
    chances: NDArray[np.float64] = weights / weights.sum()
    return chances
