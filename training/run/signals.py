"""Stop a run on request: Ctrl-C (SIGINT), or the SIGTERM of a cluster scheduler."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from time import monotonic
from types import FrameType

_SAME_REQUEST_SECONDS = 2.0


@dataclass
class StopRequest:
    """Whether the run was asked to stop, and by which signal."""

    signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Record the first SIGTERM or SIGINT instead of ending the process; a later one ends it as usual.

    Signals within two seconds of the first count as the same request, because a launcher forwards signals that its
    children have already received. Outside the main thread, where Python allows no handlers, nothing is recorded.
    """
    request = StopRequest()
    if current_thread() is not main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    first = 0.0

    def record(number: int, _: FrameType | None) -> None:
        nonlocal first
        now = monotonic()
        if request.signal is None:
            request.signal, first = signal.Signals(number), now
        elif now - first > _SAME_REQUEST_SECONDS:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, record)
    try:
        yield request
    finally:
        restore()


def ignore_interrupts(_: int) -> None:
    """Ignore Ctrl-C in a process that makes batches: the training process decides when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
