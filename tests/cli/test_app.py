"""The application: its commands, `--version`, `--help`, shell completion, and commands of other packages."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, version

import pytest

from report_gen.cli import app as application
from tests.cli.conftest import Command


def test_version(report_gen: Command) -> None:
    assert report_gen("--version").out == f"report-gen {version('report-gen')}\n"


def test_help_names_every_command_and_shell_completion(report_gen: Command) -> None:
    answer = report_gen("--help")
    assert answer.code == 0
    for word in ("draft", "send", "demo", "score", "evaluate", "corpus", "train", "report-gen --install-completion"):
        assert word in answer.out
    assert report_gen("draft", "--help").code == 0


@pytest.mark.parametrize("arguments", [("--help",), ("corpus", "--help")])
def test_no_line_about_a_command_is_cut_off(
    report_gen: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    commands = report_gen(*arguments).out.partition("Commands:\n")[2]
    assert len(commands.splitlines()) > 3
    assert "..." not in commands.partition("\n\n")[0]


def test_a_call_without_a_command_shows_the_help(report_gen: Command) -> None:
    answer = report_gen()
    assert answer.code == 2
    assert "Usage" in answer.out + answer.err


@pytest.mark.parametrize(
    ("words", "completed"),
    [("report-gen dr", "draft"), ("report-gen draft --vie", "--view"), ("report-gen draft --dtype b", "bfloat16")],
)
def test_shell_completion(report_gen: Command, monkeypatch: pytest.MonkeyPatch, words: str, completed: str) -> None:
    monkeypatch.setenv("_REPORT_GEN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert report_gen().out.split() == [completed]


def test_a_command_of_another_package_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry_point = EntryPoint("echo", "report_gen.terminal:print_text", application.COMMAND_GROUP)
    monkeypatch.setattr(
        application, "entry_points", lambda *, group: [entry_point] if group == "report_gen.commands" else []
    )
    monkeypatch.setattr(sys, "argv", ["report-gen", "echo", "word"])
    with pytest.raises(SystemExit) as stop:
        application.main()
    assert stop.value.code in (0, None)
    assert capsys.readouterr().out == "word\n"
