"""The command line of training."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from report_gen_training.cli import train
from report_gen_training.data.studies import open_corpus
from report_gen_training.recipe.loading import RECIPES, load_any_recipe

from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray
from report_gen.model import Checkpoint, load_checkpoint
from report_gen.terminal import run_app
from tests.builders import SIZE, write_corner_corpus

RECIPE = f"""
name = "tiny"
precision = "fp32"
text = {{ vocabulary_size = 200, max_report_tokens = 60 }}
corpora = [{{ name = "images", path = "images" }}]
[model]
encoder = {{ name = "test_vit", image_size = {SIZE}, channels = 1, arguments = {{ img_size = {SIZE} }} }}
decoder = {{ width = 32, layers = 1, heads = 2, positions = 160 }}
[[stages]]
name = "all"
corpora = ["images"]
steps = 2
rates = {{ decoder = 1e-3 }}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_corner_corpus(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path / "tiny.toml"


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(train)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            run_app(app)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(stop.value.code or 0), out, err

    return run


def test_a_recipe_is_trained(command: Command, recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code, out, err = command(recipe, "--set", f"data={tmp_path}", "--set", "stages.0.steps=3", "-o", folder)
    assert (code, out) == (0, f"checkpoint: {folder / 'best'}\n")
    assert "3/3" in err
    assert "all, step 3: " in err
    assert "notice: the recipe declares no scope, so that the model drafts images of every kind" in err
    assert {"curves.png", "samples.html", "tensorboard", "log.jsonl"} <= {path.name for path in folder.iterdir()}
    assert isinstance(load_checkpoint(folder / "best"), Checkpoint)
    code, _, err = command(recipe, "--set", f"data={tmp_path}", "--set", "stages.0.steps=3", "-o", folder)
    assert code == 2
    assert "already holds a run" in err
    assert command(recipe, "--set", f"data={tmp_path}", "--set", "stages.0.steps=3", "-o", folder, "--resume")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name a recipe"),
        (["no-such-recipe"], 2, "report-gen: no-such-recipe: no such recipe"),
        (["chest_xray", "--set", "sede=1"], 2, "did you mean 'seed'?"),
        (["--no-such-flag"], 2, "--no-such-flag"),
        (["chest_xray", "--dry-run", "--resume"], 2, "--dry-run writes no run folder"),
        (["chest_xray", "--contact-sheet", "x.png"], 2, "--contact-sheet needs --dry-run"),
    ],
)
def test_usage_errors(command: Command, arguments: list[str], code: int, message: str) -> None:
    found, out, err = command(*arguments)
    assert (found, out) == (code, "")
    assert message in err


@pytest.mark.parametrize("name", ["../../x", "/x", "..", "a/../../x", "x" * 300, "con", "a\x1b[31mb", ""])
@pytest.mark.parametrize("dry", [False, True])
def test_a_name_never_writes_outside_the_folder_of_runs(
    command: Command, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, dry: bool
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = command(recipe, "--set", f"name={json.dumps(name)}", *(["--dry-run"] if dry else []))
    assert (code, out) == (2, "")
    assert "name: " in err
    assert sorted(tmp_path.rglob("*")) == before
    assert not (Path("/") / "x").exists()


@pytest.mark.parametrize("name", sorted({path.stem for path in RECIPES.glob("*.toml")} - {"phantom"}))
def test_a_recipe_without_its_data_says_how_to_name_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_any_recipe(name)
    assert recipe.data == "data"
    with pytest.raises(CorpusError, match=r"^data/\S+: no such file or folder, .*; name .* with --set data=FOLDER$"):
        open_corpus(recipe.corpora[0], recipe, schema=chest_xray(), store=tmp_path)


def test_a_dry_run_without_data_names_no_folder_of_another_computer(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = command("ct_mr_slices", "--dry-run")
    assert (code, out) == (3, "")
    assert err.splitlines()[-1].startswith("report-gen: data/medpix2: no such file or folder")


def test_a_dry_run_leaves_only_its_contact_sheet(command: Command, recipe: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    sheet = tmp_path / "sheet.png"
    code, out, _ = command(recipe, "--set", f"data={tmp_path}", "--dry-run", "--contact-sheet", sheet)
    assert code == 0
    assert "decoder parameters" in out
    assert "report: FINDINGS: The heart is enlarged. IMPRESSION: Cardiomegaly." in out
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, sheet])


def test_missing_images_end_in_one_sentence(command: Command, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "images" / "train-0.png").unlink()
    code, _, err = command(recipe, "--set", f"data={tmp_path}", "-o", tmp_path / "run")
    assert code == 3
    assert "1 of 12 images are missing: " in err
    assert "train-0.png" in err


def test_explain_lists_the_keys(command: Command) -> None:
    code, out, _ = command("--explain")
    assert code == 0
    assert "\n[stages.rates]  Peak learning rates" in out
    assert "\ncheckpoint_activations  boolean, default false\n" in re.sub(" +\n", "\n", out)


def test_the_package_runs_as_a_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["training", "--explain"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("report_gen_training", run_name="__main__")
    assert not stop.value.code
    assert "\n[[stages]]" in capsys.readouterr().out
