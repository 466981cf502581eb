"""Run a function in several processes; results come in order, and few inputs are read ahead."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from report_gen.errors import ResourceError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Bundles of inputs waiting per process."""
_BUNDLE = 8
"""Inputs sent to a process together."""


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_processes(function: Callable[[T], R], items: Iterable[T], processes: int) -> Iterator[R]:
    """Yield function(item) of every item, in order. Exceptions of `function` are raised here.

    Args:
        function: A module-level function, which another process can import.
        processes: 1 runs the function in this process.

    Raises:
        ResourceError: A process died.
    """
    if processes < 2:
        yield from map(function, items)
        return
    # Spawn, not fork: a forked process would inherit locks that threads of torch hold.
    context, bundles = multiprocessing.get_context("spawn"), _bundles(items)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_start)
    pending: deque[Future[list[R]]] = deque()
    try:
        pending.extend(pool.submit(_apply, function, bundle) for bundle in islice(bundles, _AHEAD * processes))
        while pending:
            yield from pending.popleft().result()
            pending.extend(pool.submit(_apply, function, bundle) for bundle in islice(bundles, 1))
    except BrokenProcessPool as error:
        raise ResourceError(
            "a worker process died, most likely because memory ran out, or because the calling script has no "
            "`if __name__ == '__main__':`; finished work is kept, so start again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _bundles(items: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(items)
    while bundle := list(islice(remaining, _BUNDLE)):
        yield bundle


def _apply(function: Callable[[T], R], bundle: list[T]) -> list[R]:
    return list(map(function, bundle))


def _start() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and ends its workers
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch, which is imported after this
