"""Stop a command at Ctrl-C, and at SIGTERM, which `kill`, service managers and cluster schedulers send."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from report_gen.errors import StoppedError


@contextmanager
def stop_on_signals(hint: str) -> Iterator[Callable[[], None]]:
    """End the context with StoppedError at SIGTERM and Ctrl-C. Unfinished files are removed.

    Outside the main thread, where Python allows no handlers, SIGTERM keeps its effect.

    Args:
        hint: What is complete, and how to go on; it follows the name of the signal.

    Yields:
        A function that ends the context if SIGTERM was received. A library that catches every exception can suppress
        the one that the signal raises, so a long loop calls this function.
    """
    received = False

    def check() -> None:
        if received:
            raise Terminated

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
            raise StoppedError(f"stopped by SIGTERM; {hint}", signal.SIGTERM) from error
        if isinstance(error, KeyboardInterrupt):
            raise StoppedError(f"interrupted; {hint}", signal.SIGINT) from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


class Terminated(BaseException):
    """SIGTERM was received. No handler of ordinary errors catches it."""
