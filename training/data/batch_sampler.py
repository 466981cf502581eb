"""Which examples a step sees: it follows from the seed and the step alone, so a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from report_gen.config import STATES
from report_gen.records.findings import FindingSchema, FindingState

from ..recipe.schema import StageRecipe
from .example_store import ExampleStore

_BUCKET = 8
"""Batches whose studies are sorted by their views and the length of their reports together."""


class SampleSpec(NamedTuple):
    """One example of one batch, with the seed of all that is random about it."""

    group: int
    place: int
    seed: tuple[int, ...]


class BatchSampler(Sampler[list[SampleSpec]]):
    """The batches of a stage: its groups of examples in turn, each shuffled an epoch at a time.

    A step has `accumulate` batches, which follow each other; which examples the n-th batch of a stage holds follows
    from the seed and n.

    Args:
        groups: examples of one kind each.
        seed: of the stage.
        schema: the findings of the examples.
        steps: those of the stage that are wanted.
        rank: of this process among `processes`; each takes its rows of every batch.
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
            epoch, turn = divmod(turn, self._batches_of(group))
            if epochs.get(group, (None,))[0] != epoch:
                epochs[group] = (epoch, self._shuffle(group, epoch))
            places = epochs[group][1][turn]
            draws = [SampleSpec(group, int(place), (*self._seed, batch, row)) for row, place in enumerate(places)]
            yield draws[self._rank :: self._processes]

    def _batches_of(self, group: int) -> int:
        """An epoch's."""
        return max(1, len(self._groups[group]) // self._size)

    def _shuffle(self, group: int, epoch: int) -> NDArray[np.int64]:
        """An epoch's places [batches,size]; studies of like size share a batch, so that little of it is padding."""
        random, examples = np.random.default_rng((*self._seed, group, epoch)), self._groups[group]
        order = _draw(self._chances[group], self._batches_of(group) * self._size, random)
        for start in range(0, len(order), self._size * _BUCKET):
            bucket = order[start : start + self._size * _BUCKET]
            bucket[:] = bucket[np.lexsort((examples.lengths[bucket], examples.views[bucket]))]
        batches: NDArray[np.int64] = random.permutation(order.reshape(-1, self._size))
        return batches


def _draw(chances: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """`count` places in random order, each as often as its chance says, to within one.

    Systematic sampling: the chances lie end to end in random order, and a comb of `count` teeth falls on them. With
    equal chances none comes twice before every one came once.
    """
    order = random.permutation(len(chances))
    ends = chances[order].cumsum()
    teeth = (np.arange(count) + random.random()) * (ends[-1] / count)
    drawn = order[np.minimum(ends.searchsorted(teeth, side="right"), len(order) - 1)]
    return random.permutation(drawn)


def _chances(states: NDArray[np.int8], rare_finding_weight: float, schema: FindingSchema) -> NDArray[np.float64]:
    """Weight of every example [n]: that of its rarest present finding, to the power of `rare_finding_weight`.

    An example without a present finding counts as one of the finding that means that nothing is wrong.
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
