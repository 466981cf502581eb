"""The application: its commands, `--version`, `--help`, shell completion, and commands of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest

from report_gen.cli import plugins
from report_gen.cli.app import build_app
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


def registered(monkeypatch: pytest.MonkeyPatch, **commands: str) -> None:
    """Register commands by their names, as if another package did."""
    found = [EntryPoint(name, value, plugins.COMMAND_GROUP) for name, value in commands.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: found if group == "report_gen.commands" else [])


def test_a_command_of_another_package_is_found(report_gen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, echo="report_gen.terminal:print_text")
    answer = report_gen("echo", "word")
    assert (answer.code, answer.out, answer.err) == (0, "word\n", "")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("report_gen.absent:run", "ModuleNotFoundError: No module named 'report_gen.absent'"),
        ("report_gen.terminal:absent", "AttributeError: module 'report_gen.terminal' has no attribute 'absent'"),
        ("tests.cli.broken_commands:ends", "SystemExit: 1"),
        ("tests.cli.broken_commands:interrupts", "RuntimeError: it raised KeyboardInterrupt"),
        ("tests.cli.broken_commands:has_no_type", "NameError: name 'Undefined' is not defined"),
        ("tests.cli.broken_commands:NUMBER", "AttributeError: 'int' object has no attribute '__name__'"),
    ],
)
def test_a_broken_command_of_another_package_stops_no_other(
    report_gen: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, value: str, reason: str
) -> None:
    if value.endswith("ends"):
        (tmp_path / "ending_module.py").write_text("raise SystemExit(1)")
        monkeypatch.syspath_prepend(tmp_path)
        value = "ending_module:run"
    if value.endswith("interrupts"):
        (tmp_path / "interrupting_module.py").write_text("raise KeyboardInterrupt")
        monkeypatch.syspath_prepend(tmp_path)
        value = "interrupting_module:run"
    registered(monkeypatch, broken=value, echo="report_gen.terminal:print_text")
    answer = report_gen("echo", "word")
    assert (answer.code, answer.out) == (0, "word\n")
    assert answer.err.startswith(f"report-gen: notice: command broken: {value} cannot be loaded ({reason}")
    assert answer.err.endswith("); reinstall or remove this package\n")
    assert answer.err.count("\n") == 1
    called = report_gen("broken", "path", "--option", "value")
    assert (called.code, called.out) == (2, "")
    assert called.err == answer.err.replace("notice: ", "")


def test_ctrl_c_ends_the_import_of_another_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    monkeypatch.syspath_prepend(tmp_path)
    registered(monkeypatch, slow="slow_module:run")
    with pytest.raises(KeyboardInterrupt):
        build_app()


def test_what_another_package_prints_when_it_is_imported_is_no_output(
    report_gen: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "printing_module.py").write_text("print('hello')\ndef run() -> None: print('result')")
    monkeypatch.syspath_prepend(tmp_path)
    registered(monkeypatch, printing="printing_module:run")
    answer = report_gen("printing")
    assert (answer.code, answer.out, answer.err) == (0, "result\n", "hello\n")


def test_no_package_replaces_a_command(report_gen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(monkeypatch, draft="report_gen.terminal:print_text")
    answer = report_gen("draft", "absent.dcm")
    assert answer.code == 3
    assert "command draft of report_gen.terminal:print_text: the name 'draft' is taken" in answer.err
