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

    If the stage pools its corpora, all groups of one kind are drawn from together and take one turn. An epoch of n
    examples has n draws, of which an example gets a share by its sampling weight.

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
        self._pools = [_Pool.of(members, groups, stage, schema) for members in _members(groups, stage.mixing)]
        self._size, self._seed = stage.batch_size, seed
        self._batches = range(steps.start * stage.accumulate, steps.stop * stage.accumulate)
        self._rank, self._processes = rank, processes

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[SampleSpec]]:
        epochs: dict[int, tuple[int, NDArray[np.int64]]] = {}
        for batch in self._batches:
            turn, pool = divmod(batch, len(self._pools))
            epoch, number = divmod(turn, self._batches_per_epoch(pool))
            if epochs.get(pool, (None,))[0] != epoch:
                epochs[pool] = (epoch, self._shuffle(pool, epoch))
            indices, drawn = epochs[pool][1][number], self._pools[pool]
            specs = [
                SampleSpec(int(drawn.groups[index]), int(drawn.examples[index]), (*self._seed, batch, row))
                for row, index in enumerate(indices)
            ]
            yield specs[self._rank :: self._processes]

    def _batches_per_epoch(self, pool: int) -> int:
        return max(1, len(self._pools[pool].groups) // self._size)

    def _shuffle(self, pool: int, epoch: int) -> NDArray[np.int64]:
        """Return the indices [batches,batch_size] into a pool for one epoch, similar studies in one batch."""
        random, drawn = np.random.default_rng((*self._seed, pool, epoch)), self._pools[pool]
        order = _draw(drawn.chances, drawn.strata, self._batches_per_epoch(pool) * self._size, random)
        for start in range(0, len(order), self._size * _BUCKET):
            bucket = order[start : start + self._size * _BUCKET]
            bucket[:] = bucket[np.lexsort((drawn.lengths[bucket], drawn.views[bucket]))]
        batches: NDArray[np.int64] = random.permutation(order.reshape(-1, self._size))
        return batches


class _Pool(NamedTuple):
    """Examples that are drawn together, as arrays [n]."""

    groups: NDArray[np.int64]
    """Group of each example."""
    examples: NDArray[np.int64]
    """Index of each example in its group."""
    chances: NDArray[np.float64]
    strata: NDArray[np.int64]
    """Number of the group and source of each example."""
    lengths: NDArray[np.int32]
    views: NDArray[np.int32]

    @classmethod
    def of(
        cls, members: Sequence[int], groups: Sequence[ExampleStore], stage: StageRecipe, schema: FindingSchema
    ) -> _Pool:
        """Return the pool of some groups."""
        chosen = [groups[member] for member in members]
        origins = [
            np.stack([np.full(len(one), member), one.sources], axis=1)
            for member, one in zip(members, chosen, strict=True)
        ]
        rarity = _chances(np.concatenate([_present(one) for one in chosen]), stage.rare_finding_weight, schema)
        _, strata = np.unique(np.concatenate(origins), axis=0, return_inverse=True)
        return cls(
            groups=np.repeat(members, [len(one) for one in chosen]),
            examples=np.concatenate([np.arange(len(one)) for one in chosen]),
            chances=rarity * np.concatenate([one.sampling_weights for one in chosen]),
            strata=strata,
            lengths=np.concatenate([one.lengths for one in chosen]),
            views=np.concatenate([one.views for one in chosen]),
        )


def _members(groups: Sequence[ExampleStore], mixing: str) -> list[list[int]]:
    """Return the groups of each pool: one group, or all groups of one kind."""
    if mixing == "alternate":
        return [[number] for number in range(len(groups))]
    pools: dict[tuple[bool, ...], list[int]] = {}
    for number, group in enumerate(groups):
        pools.setdefault(tuple(group.kinds[0].tolist()), []).append(number)
    return list(pools.values())


def _draw(
    chances: NDArray[np.float64], strata: NDArray[np.int64], count: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """Draw `count` indices in random order; index i appears count * chances[i] / sum times, rounded up or down.

    Systematic sampling: the examples are laid end to end in random order, each as long as its chance, and `count`
    equally spaced points select from them. With equal chances no example is drawn twice before all are drawn once. The
    examples of a stratum lie together, so that the number of its draws is exact as well, rounded up or down.
    """
    order = random.permutation(len(chances))
    order = order[strata[order].argsort(kind="stable")]
    ends = chances[order].cumsum()
    points = (np.arange(count) + random.random()) * (ends[-1] / count)
    drawn = order[np.minimum(ends.searchsorted(points, side="right"), len(order) - 1)]
    return random.permutation(drawn)


def _present(examples: ExampleStore) -> NDArray[np.bool_]:
    """Return whether each example [n,F] has each finding, by its report or by its labels."""
    found: NDArray[np.bool_] = (examples.states == STATES.index(FindingState.PRESENT)) | (examples.labels == 1)
    return found


def _chances(found: NDArray[np.bool_], rare_finding_weight: float, schema: FindingSchema) -> NDArray[np.float64]:
    """Return a sampling weight per example [n]: 1 / frequency of its rarest present finding, to the given power.

    An example without a present finding counts as an example of "no finding".

    Args:
        found: [n,F] whether each example has each finding.
        rare_finding_weight: The power.
        schema: The F findings.
    """
    nothing = ~found.any(axis=1, keepdims=True)
    if schema.normal:
        present = found | (nothing & (np.arange(found.shape[1]) == schema.index(schema.normal)))
    else:
        present = np.concatenate([found, nothing], axis=1)
    rarest = np.where(present, 1 / np.maximum(present.sum(axis=0), 1), 0).max(axis=1)
    weights: NDArray[np.float64] = rarest**rare_finding_weight
    return weights
