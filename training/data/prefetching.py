"""Batches made while the model is busy with the ones before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ..run.signals import leave_signals_to_parent

T = TypeVar("T")

_AHEAD = 2
"""Batches that wait, for each process that makes them."""


def prefetched(batches: Dataset[T], plan: Sampler[Any] | Sequence[Any], workers: int) -> Iterator[T]:
    """batches[wanted] for every `wanted` of a plan, in its order.

    Args:
        workers: processes that make batches; with 0 a thread does, which is enough as long as images are decoded.
    """
    if workers:
        generator = torch.Generator()  # the loader would draw from the global one, on which the steps depend
        yield from DataLoader(
            batches,
            sampler=plan,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=_AHEAD,
            generator=generator,
            collate_fn=_as_it_is,
            worker_init_fn=leave_signals_to_parent,
        )
    else:
        yield from _in_thread(batches, plan)


def _in_thread(batches: Dataset[T], plan: Iterable[Any]) -> Iterator[T]:
    wanted = iter(plan)
    thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        waiting: deque[Future[T]] = deque(thread.submit(batches.__getitem__, one) for one in islice(wanted, _AHEAD))
        while waiting:
            ready = waiting.popleft().result()
            waiting.extend(thread.submit(batches.__getitem__, one) for one in islice(wanted, 1))
            yield ready
    finally:
        thread.shutdown(cancel_futures=True)


def _as_it_is(batch: T) -> T:
    return batch
