"""SIGTERM ends a command with exit code 143, Ctrl-C with 130, also where a library suppresses the exception."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from report_gen.errors import StoppedError
from report_gen.files import write_atomically
from report_gen.terminal import kept_handlers, stop_on_signals


@pytest.fixture(autouse=True)
def _default_handler() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def terminate(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_an_unfinished_file_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), number))
    stopped = "interrupted" if number is signal.SIGINT else f"stopped by {number.name}"
    with pytest.raises(StoppedError, match=rf"^{stopped}; say this$") as stop, stop_on_signals("say this"):
        write_atomically(tmp_path / "draft.txt", "x")
    assert stop.value.exit_code == code
    assert list(tmp_path.iterdir()) == []


def test_nohup_keeps_its_effect() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals("stopped"):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_suppressed_signal_ends_the_context_at_the_next_check() -> None:
    passed = []

    def work() -> None:
        with stop_on_signals("stopped") as check:
            check()
            with suppress(BaseException):
                terminate()
            passed.append("suppressed")
            check()
            passed.append("not reached")

    with pytest.raises(StoppedError):
        work()
    assert passed == ["suppressed"]


def test_an_import_that_fails_because_of_the_signal_is_a_stop() -> None:
    def fail() -> None:
        try:
            terminate()
        except BaseException as error:
            raise ImportError("multiarray failed to import") from error

    with pytest.raises(StoppedError), stop_on_signals("stopped"):
        fail()


def test_after_ctrl_c_the_hint_is_said() -> None:
    with pytest.raises(StoppedError, match=r"^interrupted; say this$") as stop, stop_on_signals("say this"):
        raise KeyboardInterrupt
    assert stop.value.exit_code == 130


def test_other_errors_pass_and_the_handler_is_restored() -> None:
    def fail() -> None:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        raise ImportError

    with pytest.raises(ImportError), stop_on_signals("stopped"):
        fail()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_another_thread_has_no_handler() -> None:
    handlers = []

    def run() -> None:
        with stop_on_signals("stopped") as check:
            check()
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = Thread(target=run)
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_DFL]


def test_handlers_of_a_library_are_replaced_by_the_earlier_ones() -> None:
    signal.signal(signal.SIGTERM, terminate)
    with kept_handlers():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is terminate
