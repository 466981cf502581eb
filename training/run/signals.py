"""A stop that is asked for from outside: Ctrl-C, or the SIGTERM of a cluster that wants its machine back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import current_thread, main_thread
from time import monotonic
from types import FrameType

_SAME_REQUEST = 2.0


@dataclass
class StopRequest:
    """Whether somebody asked the run to stop."""

    signal: signal.Signals | None = None

    def __bool__(self) -> bool:
        return self.signal is not None


@contextmanager
def heeding_signals() -> Iterator[StopRequest]:
    """Note the first SIGTERM or SIGINT instead of obeying it; a later one ends the process at once, as ever.

    What comes within two seconds of the first is the same request: a launcher passes on what its children have heard
    themselves. Outside the main thread, where Python lets nobody listen, nothing is noted.
    """
    request = StopRequest()
    if current_thread() is not main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    first = 0.0

    def note(number: int, _: FrameType | None) -> None:
        nonlocal first
        now = monotonic()
        if request.signal is None:
            request.signal, first = signal.Signals(number), now
        elif now - first > _SAME_REQUEST:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()


def leave_signals_to_parent(_: int) -> None:
    """For a process that makes batches: a Ctrl-C reaches it too, but when it ends is the training process's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
