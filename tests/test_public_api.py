"""The public API: its names, its documentation, the paths it accepts, and the code blocks of the documentation."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

import report_gen
from report_gen.phantom import write_phantom
from tests.builders import noise_image, write_checkpoint, write_manifest, write_png

CHECKOUT = Path(__file__).resolve().parents[1]

FUNCTIONS = {"label_findings", "load_checkpoint", "load_pixels", "read_corpus", "read_studies", "read_study"}
FUNCTIONS |= {"read_report", "score_reports"}
CLASSES = {"Drafter", "Report", "Study"}


@dataclass(frozen=True)
class OtherPath(os.PathLike[str]):
    """A path that is neither a string nor a pathlib.Path."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)


def test_the_list_of_public_names() -> None:
    assert set(report_gen.__all__) == FUNCTIONS | CLASSES | {"__version__"}
    assert set(report_gen.__all__) <= set(dir(report_gen))
    assert report_gen.__version__ == version("report-gen")
    for name in FUNCTIONS | CLASSES:
        assert getattr(report_gen, name).__name__ == name


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'report_gen' has no attribute 'Drafters'"):
        _ = report_gen.Drafters  # type: ignore[attr-defined]


def test_the_import_loads_nothing_heavy() -> None:
    program = "import sys, report_gen; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "report_gen" in loaded
    assert not {"torch", "numpy", "pydantic", "pydicom", "typer", "rich"} & set(loaded)


def test_the_readme_names_every_function_and_class() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(FUNCTIONS | CLASSES) if not re.search(rf"\b{name}\b", readme)] == []


@pytest.mark.parametrize("name", [*sorted(FUNCTIONS), "Drafter.load", "Drafter.draft", "Drafter.draft_all"])
def test_a_docstring_covers_arguments_and_result(name: str) -> None:
    function = attrgetter(name)(report_gen)
    text = inspect.getdoc(function) or ""
    arguments, _, rest = text.partition("Args:")[2].partition("Returns:")
    described = set(re.findall(r"^ +(\w+): ", arguments, re.MULTILINE))
    assert set(inspect.signature(function).parameters) - {"self"} <= described
    assert rest.strip(), f"{name} does not describe what it returns"


@pytest.mark.parametrize("kind", [str, OtherPath, Path])
def test_paths_are_strings_or_path_objects(tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    image = write_png(tmp_path / "data" / "a.png", noise_image(1))
    write_manifest(tmp_path / "data", [{"id": "1", "images": ["a.png"], "findings": "The lungs are clear."}])
    study = report_gen.read_study(kind(image))
    assert report_gen.read_studies(kind(image)).studies == (study,)
    assert report_gen.load_pixels(study.images[0]).shape == noise_image(1).shape
    assert len(report_gen.read_corpus(kind(tmp_path / "data"))) == 1
    checkpoint = write_checkpoint(tmp_path / "checkpoint")
    assert report_gen.load_checkpoint(kind(checkpoint)).weights_sha256
    report = report_gen.Drafter.load(kind(checkpoint)).draft(study)
    assert isinstance(report, report_gen.Report)


def code_blocks() -> list[Any]:
    """The Python blocks of all documentation but that of the metrics, see `tests/metrics/test_evaluate_modules.py`."""
    blocks = []
    documents = {*CHECKOUT.glob("*.md"), *CHECKOUT.glob("report_gen/**/*.md"), *CHECKOUT.glob("training/**/*.md")}
    for document in sorted(documents - {*CHECKOUT.glob("report_gen/metrics/**/*.md")}):
        text = document.read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            line = text[: match.start(1)].count("\n")
            blocks.append(pytest.param(document, line, match[1], id=f"{document.relative_to(CHECKOUT)}:{line + 1}"))
    return blocks


def test_the_readme_has_a_code_block() -> None:
    assert any(block.values[0] == CHECKOUT / "README.md" for block in code_blocks())


@pytest.mark.parametrize(("document", "line", "code"), code_blocks())
def test_a_code_block_runs(
    document: Path, line: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder with a study of the name that the documentation uses."""
    write_phantom(tmp_path).rename(tmp_path / "chest.dcm")
    monkeypatch.chdir(tmp_path)
    exec(compile("\n" * line + code, str(document), "exec"), {"__name__": "__main__"})  # noqa: S102
