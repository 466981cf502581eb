"""Stop a command at SIGTERM, which `kill`, service managers and cluster schedulers send."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from report_gen.errors import StoppedError


@contextmanager
def stop_on_sigterm(message: str) -> Iterator[Callable[[], None]]:
    """End the context with StoppedError at SIGTERM. Its unfinished files are removed, as they are after Ctrl-C.

    Outside the main thread, where Python allows no handlers, SIGTERM keeps its effect.

    Args:
        message: What was stopped, and how to go on.

    Yields:
        A function that ends the context if SIGTERM was received. A library that catches every exception can suppress
        the one that the signal raises, so a long loop calls this function.
    """
    received = False

    def check() -> None:
        if received:
            raise _Terminated

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal received
        received = True
        check()

    if current_thread() is not main_thread():
        yield check
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield check
    except BaseException as error:
        if received:  # an import of compiled code turns the exception into an ImportError
            raise StoppedError(message, signal.SIGTERM) from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(BaseException):
    """SIGTERM was received. No handler of ordinary errors catches it."""
