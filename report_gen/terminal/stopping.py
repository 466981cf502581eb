"""Stop a command at Ctrl-C, at SIGTERM, which `kill` and schedulers send, and at SIGHUP, as a closing terminal does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

from report_gen.errors import StoppedError


class StopCheck:
    """Whether SIGTERM or SIGHUP was received. Obtained from `stop_on_signals`."""

    def __init__(self) -> None:
        self._received: signal.Signals | None = None
        self._finishes = False

    @property
    def received(self) -> signal.Signals | None:
        """The signal that was received."""
        return self._received

    def __call__(self) -> None:
        """End the context of `stop_on_signals` if a signal was received."""
        if self._received:
            raise Terminated

    @contextmanager
    def finish_work(self) -> Iterator[None]:
        """Let the block finish the work that it has begun after a first signal, see `received`. A second one ends it.

        Ctrl-C ends the block at once.
        """
        self._finishes = True
        try:
            yield
        finally:
            self._finishes = False

    def receive(self, number: int, _: FrameType | None) -> None:
        """Handle a signal."""
        is_first = self._received is None
        self._received = signal.Signals(number)
        if not (self._finishes and is_first):
            self()


@contextmanager
def stop_on_signals(hint: str) -> Iterator[StopCheck]:
    """End the context with StoppedError at SIGTERM, SIGHUP and Ctrl-C. Unfinished files are removed.

    Outside the main thread, where Python allows no handlers, SIGTERM and SIGHUP keep their effect.

    Args:
        hint: What is complete, and how to go on; it follows the name of the signal.

    Yields:
        A function that ends the context if SIGTERM or SIGHUP was received. A library that catches every exception can
        suppress the one that the signal raises, so a long loop calls this function.
    """
    check = StopCheck()
    if current_thread() is not main_thread():
        yield check
        return
    before = {number: signal.signal(number, check.receive) for number in ending_signals()}
    try:
        yield check
    except BaseException as error:
        if check.received:  # an import of compiled code turns the exception into an ImportError
            raise StoppedError(f"stopped by {check.received.name}; {hint}", check.received) from error
        if isinstance(error, KeyboardInterrupt):
            raise StoppedError(f"interrupted; {hint}", signal.SIGINT) from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM after a library has set its own."""
    if current_thread() is not main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return SIGTERM, and SIGHUP unless `nohup` had it ignored or the system has no such signal."""
    hangup = getattr(signal, "SIGHUP", None)
    return (
        (signal.SIGTERM,) if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN else (signal.SIGTERM, hangup)
    )


class Terminated(BaseException):
    """SIGTERM or SIGHUP was received. No handler of ordinary errors catches it."""
