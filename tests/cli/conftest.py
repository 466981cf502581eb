"""Run the console script in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from report_gen.cli import main
from tests.builders import write_checkpoint


@dataclass(frozen=True)
class Answer:
    """Result of a command line: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Command = Callable[..., Answer]


@pytest.fixture(scope="package")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint, shared by all tests of the command line."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def report_gen(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the console script, for example `report_gen("draft", path)`."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["report-gen", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Answer(int(stop.value.code or 0), out, err)

    return run


@pytest.fixture
def draft(report_gen: Command, checkpoint: Path) -> Command:
    """Run `report-gen draft` with the tiny checkpoint and without sampled candidates."""
    return lambda *arguments: report_gen("draft", "--checkpoint", checkpoint, "--candidates", 1, *arguments)


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide Java: METEOR takes seconds to start and is tested elsewhere."""
    monkeypatch.setenv("PATH", "")
