"""Work shared out among processes, its results in order and never many of them ahead."""

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

from report_gen.errors import ReportGenError

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 4
"""Bundles of work that wait for each process."""
_BUNDLE = 8
"""Pieces of work that travel together."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_processes(function: Callable[[T], R], work: Iterable[T], processes: int) -> Iterator[R]:
    """function(piece) of every piece of work, in order. Errors that `function` raises come out here.

    Args:
        function: of a module, so that another process finds it.
        processes: 1 works here and now.

    Raises:
        ReportGenError: a process died.
    """
    if processes < 2:
        yield from map(function, work)
        return
    # A copy of this process (fork) would inherit locks that threads of torch hold.
    context, bundles = multiprocessing.get_context("spawn"), _bundles(work)
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_begin)
    pending: deque[Future[list[R]]] = deque()
    try:
        pending.extend(pool.submit(_do, function, bundle) for bundle in islice(bundles, _AHEAD * processes))
        while pending:
            yield from pending.popleft().result()
            pending.extend(pool.submit(_do, function, bundle) for bundle in islice(bundles, 1))
    except BrokenProcessPool as error:
        raise ReportGenError(
            "a process that helped died, most likely for want of memory, or because the script that calls has no "
            "`if __name__ == '__main__':`; what was finished is kept, so start again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _bundles(work: Iterable[T]) -> Iterator[list[T]]:
    pieces = iter(work)
    while bundle := list(islice(pieces, _BUNDLE)):
        yield bundle


def _do(function: Callable[[T], R], bundle: list[T]) -> list[R]:
    return list(map(function, bundle))


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its processes in order
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch, which is loaded after this
