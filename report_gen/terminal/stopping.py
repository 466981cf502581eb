"""Stop a command at Ctrl-C, at SIGTERM, which `kill` and schedulers send, and at SIGHUP, as a closing terminal does."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from report_gen.errors import StoppedError


@contextmanager
def stop_on_signals(hint: str) -> Iterator[Callable[[], None]]:
    """End the context with StoppedError at SIGTERM, SIGHUP and Ctrl-C. Unfinished files are removed.

    Outside the main thread, where Python allows no handlers, SIGTERM and SIGHUP keep their effect.

    Args:
        hint: What is complete, and how to go on; it follows the name of the signal.

    Yields:
        A function that ends the context if SIGTERM or SIGHUP was received. A library that catches every exception can
        suppress the one that the signal raises, so a long loop calls this function.
    """
    received: signal.Signals | None = None

    def check() -> None:
        if received:
            raise Terminated

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal received
        received = signal.Signals(number)
        check()

    if current_thread() is not main_thread():
        yield check
        return
    before = {number: signal.signal(number, stop) for number in ending_signals()}
    try:
        yield check
    except BaseException as error:
        if received:  # an import of compiled code turns the exception into an ImportError
            raise StoppedError(f"stopped by {received.name}; {hint}", received) from error
        if isinstance(error, KeyboardInterrupt):
            raise StoppedError(f"interrupted; {hint}", signal.SIGINT) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return SIGTERM, and SIGHUP unless `nohup` had it ignored or the system has no such signal."""
    hangup = getattr(signal, "SIGHUP", None)
    return (
        (signal.SIGTERM,) if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN else (signal.SIGTERM, hangup)
    )


class Terminated(BaseException):
    """SIGTERM or SIGHUP was received. No handler of ordinary errors catches it."""
