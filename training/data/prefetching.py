"""Make batches ahead, while the model trains on earlier ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ..run import ignore_interrupts

T = TypeVar("T")

_AHEAD = 2
"""Batches made ahead per process."""


def prefetch(batches: Dataset[T], sampler: Sampler[Any] | Sequence[Any], workers: int) -> Iterator[T]:
    """Yield batches[index] for every index of a sampler, in its order.

    Args:
        workers: Processes that make batches; 0 uses one thread, which is fast enough once images are decoded.
    """
    if workers:
        generator = torch.Generator()  # the loader would advance the global generator, on which training steps depend
        yield from DataLoader(
            batches,
            sampler=sampler,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=_AHEAD,
            generator=generator,
            collate_fn=_identity,
            worker_init_fn=ignore_interrupts,
        )
    else:
        yield from _in_thread(batches, sampler)


def _in_thread(batches: Dataset[T], sampler: Iterable[Any]) -> Iterator[T]:
    indices = iter(sampler)
    thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        waiting: deque[Future[T]] = deque(thread.submit(batches.__getitem__, one) for one in islice(indices, _AHEAD))
        while waiting:
            ready = waiting.popleft().result()
            waiting.extend(thread.submit(batches.__getitem__, one) for one in islice(indices, 1))
            yield ready
    finally:
        thread.shutdown(cancel_futures=True)


def _identity(batch: T) -> T:
    return batch
