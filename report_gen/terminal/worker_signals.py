"""Leave the signals of a terminal or of a SLURM step to the process that writes.

Such a signal reaches every process. A worker that it ends cannot finish its work, and its end looks like a crash.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block the signals in this thread. A process that it starts inherits that until it calls `ignore_signals`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals() -> None:
    """Ignore the signals in this process, and no longer block them."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
