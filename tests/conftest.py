"""Settings and fixtures of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from report_gen.model import tuning
from tests.orthanc import Orthanc, running_orthanc

# The models are small: threads that wait for more work, beside several test processes, only slow each other down. These
# variables are read when PyTorch is imported, here and in child processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

settings.register_profile("report_gen", deadline=None)  # a busy machine may take any time for an example
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("report_gen")


@pytest.fixture
def shared() -> Path:
    """Return the folder of real images and reports. The test is skipped if there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("REPORT_GEN_SHARED", beside))
    if not (folder / "data").is_dir():
        pytest.skip("no real data: set REPORT_GEN_SHARED")
    return folder


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Return an empty archive for the tests of a module. They are skipped if Orthanc is not installed."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_remembered_tuning(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draft in float32, whatever `bench --tune` found on this machine."""
    monkeypatch.setattr(tuning, "user_cache_path", lambda *_, **__: tmp_path_factory.getbasetemp() / "no-cache")


@pytest.fixture(autouse=True)
def _default_stop_handlers() -> Iterator[None]:
    """Handle SIGINT and SIGTERM as in an interactive shell: a background job of a script inherits SIGINT as ignored.

    A command line that ran in this process leaves them to end it.
    """
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    inherited = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in inherited.items():
        signal.signal(number, handler)
