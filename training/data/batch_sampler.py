"""Choose the examples of every batch from the seed and the step alone.

A resumed run therefore trains on the same batches as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from report_gen.config import STATES
from report_gen.records import FindingSchema, FindingState

from ..recipe import StageRecipe
from .example_store import ExampleStore

_BUCKET = 8
"""Batches per bucket. Studies of a bucket are sorted by number of views and report length to reduce padding."""


class SampleSpec(NamedTuple):
    """One example of a batch, and the seed of its random choices (prompt, dropout, augmentation)."""

    group: int
    example: int
    """Index in the group."""
    seed: tuple[int, ...]


class BatchSampler(Sampler[list[SampleSpec]]):
    """Yield the batches of a stage: its groups of examples take turns, each shuffled once per epoch.

    A step takes `accumulate` consecutive batches. The examples of the n-th batch of a stage depend only on the seed
    and n.

    Args:
        groups: Examples, one group per kind (see `group_by_kind`).
        seed: Seed of the stage.
        schema: The findings of the examples.
        steps: Steps of the stage to yield batches for.
        rank: Index of this process among `processes`; each process takes every `processes`-th row of a batch.
    """

    def __init__(
        self,
        groups: Sequence[ExampleStore],
        stage: StageRecipe,
        seed: tuple[int, ...],
        *,
        schema: FindingSchema,
        steps: range,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self._groups = groups
        self._chances = [_chances(group.states, stage.rare_finding_weight, schema) for group in groups]
        self._size, self._seed = stage.batch_size, seed
        self._batches = range(steps.start * stage.accumulate, steps.stop * stage.accumulate)
        self._rank, self._processes = rank, processes

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[SampleSpec]]:
        epochs: dict[int, tuple[int, NDArray[np.int64]]] = {}
        for batch in self._batches:
            turn, group = divmod(batch, len(self._groups))
            epoch, number = divmod(turn, self._batches_per_epoch(group))
            if epochs.get(group, (None,))[0] != epoch:
                epochs[group] = (epoch, self._shuffle(group, epoch))
            indices = epochs[group][1][number]
            specs = [SampleSpec(group, int(index), (*self._seed, batch, row)) for row, index in enumerate(indices)]
            yield specs[self._rank :: self._processes]

    def _batches_per_epoch(self, group: int) -> int:
        return max(1, len(self._groups[group]) // self._size)

    def _shuffle(self, group: int, epoch: int) -> NDArray[np.int64]:
        """Return the example indices [batches,batch_size] of one epoch, similar studies in one batch."""
        random, examples = np.random.default_rng((*self._seed, group, epoch)), self._groups[group]
        order = _draw(self._chances[group], self._batches_per_epoch(group) * self._size, random)
        for start in range(0, len(order), self._size * _BUCKET):
            bucket = order[start : start + self._size * _BUCKET]
            bucket[:] = bucket[np.lexsort((examples.lengths[bucket], examples.views[bucket]))]
        batches: NDArray[np.int64] = random.permutation(order.reshape(-1, self._size))
        return batches


def _draw(chances: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Draw `count` indices in random order; index i appears count * chances[i] / sum times, rounded up or down.

    Systematic sampling: the examples are laid end to end in random order, each as long as its chance, and `count`
    equally spaced points select from them. With equal chances no example is drawn twice before all are drawn once.
    """
    order = random.permutation(len(chances))
    ends = chances[order].cumsum()
    points = (np.arange(count) + random.random()) * (ends[-1] / count)
    drawn = order[np.minimum(ends.searchsorted(points, side="right"), len(order) - 1)]
    return random.permutation(drawn)


def _chances(states: NDArray[np.int8], rare_finding_weight: float, schema: FindingSchema) -> NDArray[np.float64]:
    """Return a sampling weight per example [n]: 1 / frequency of its rarest present finding, to the given power.

    An example without a present finding counts as an example of "no finding".
    """
    found = states == STATES.index(FindingState.PRESENT)
    nothing = ~found.any(axis=1, keepdims=True)
    if schema.normal:
        present = found | (nothing & (np.arange(found.shape[1]) == schema.index(schema.normal)))
    else:
        present = np.concatenate([found, nothing], axis=1)
    rarest = np.where(present, 1 / np.maximum(present.sum(axis=0), 1), 0).max(axis=1)
    weights: NDArray[np.float64] = rarest**rare_finding_weight
    return weights
