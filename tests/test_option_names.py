"""Messages of the command line name options, and messages of the library name parameters; none names both."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import report_gen
from report_gen.cli.app import build_app
from report_gen.drafting import PriorStudy, StudyLimits
from report_gen.records import Study
from report_gen.terminal import OPTION_NAMES, name_options, print_error

LIBRARY = ("drafting", "imaging", "model")
"""Packages whose messages both a program and the command line show."""
OTHER_PROGRAMS = ("gdcmconv --raw", "pip install --no-deps")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")


def messages(path: Path) -> Iterator[str]:
    """Yield the string constants of a module except docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


@pytest.mark.parametrize("package", LIBRARY)
def test_the_library_names_no_option_of_the_command_line(package: str) -> None:
    paths = sorted((Path(report_gen.__file__).parent / package).rglob("*.py"))
    assert paths
    for text in (text for path in paths for text in messages(path)):
        for command in OTHER_PROGRAMS:
            text = text.replace(command, "")
        assert not _OPTION.search(text), text


def test_every_option_that_replaces_a_parameter_exists() -> None:
    command = typer.main.get_command(build_app()).commands["draft"]  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {name for name in OPTION_NAMES.values() if name.startswith("--")} <= options


def test_every_parameter_that_is_replaced_exists() -> None:
    assert {"max_views", "seconds"} <= StudyLimits.__dataclass_fields__.keys()
    assert "days_earlier" in PriorStudy.__dataclass_fields__
    assert callable(Study.with_view)


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("12 images; as_study=True joins them", "12 images; --as-study joins them"),
        ("a hand; force=True drafts it anyway", "a hand; --force drafts it anyway"),
        ("allow more with limits=StudyLimits(seconds=...), or", "allow more with --timeout, or"),
        ("/data/force=True/a.dcm: is no image", "/data/force=True/a.dcm: is no image"),
        ("enforce=True", "enforce=True"),
    ],
)
def test_parameters_are_replaced_where_they_are_words(
    message: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert name_options(message) == printed
    print_error(message)
    assert capsys.readouterr().err == f"report-gen: {printed}\n"
