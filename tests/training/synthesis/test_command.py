"""The command `report-gen synthesize`: a whole run, and what a user may give that is wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from report_gen_training.synthesis import GeneratorRecipe, generator_recipe
from report_gen_training.synthesis.command import DEFAULTS, synthesize
from report_gen_training.synthesis.recipe import describe_setting

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError, UsageError
from report_gen.terminal import run_app
from tests.builders import noise_image, write_png
from tests.linear_probes import write_nih

pytest.importorskip("diffusers", reason="needs diffusers: pip install report-gen[synthesis]")

SETTINGS = ("size=16", "channels=8,16", "steps=4", "batch_size=8", "precision=fp32")
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(synthesize)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, settings: tuple[str, ...] = ()) -> tuple[int, str, str]:
        chosen = [part for setting in settings for part in ("--set", setting)]
        monkeypatch.setattr(sys, "argv", ["synthesize", *arguments, *chosen])
        with pytest.raises(SystemExit) as stop:
            run_app(app)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(stop.value.code or 0), " ".join(out.split()), " ".join(err.split())

    return run


def test_a_corpus_is_drawn_and_drawn_again_from_the_same_generator(tmp_path: Path, command: Command) -> None:
    write_nih(tmp_path / "nih", 60)
    finding = ("--finding", "pleural effusion", "-n", "5")
    code, out, err = command("nih", *finding, "-o", "first", settings=SETTINGS)
    assert code == 0, err
    assert "generator: generator 5 synthetic images, of a generator that was not trained enough: first (" in out
    assert "the generator was not trained enough" in err  # four steps draw noise
    assert json.loads((tmp_path / "first" / "synthesis.json").read_text())["generator_trained_enough"] is False
    code, out, err = command("nih", *finding, "-o", "second")
    assert code == 0, err
    assert "generator: " not in out
    assert "the training of this generator is complete" not in err
    code, out, err = command("nih", *finding, "-o", "again", "--resume")
    assert code == 0
    assert "generator: the training of this generator is complete, so --resume continues nothing" in err
    assert read_corpus(tmp_path / "first")["study_id"] == read_corpus(tmp_path / "second")["study_id"]
    write_nih(tmp_path / "more", 80)
    wrong = {
        "exists already": ("nih", *finding, "-o", "first"),
        "no such finding; use one of": ("nih", "--finding", "Dragon"),
        "--output needs --finding": ("nih", "-o", "third"),
        "no such file or folder": ("missing", *finding, "-o", "third"),
        "no training image has the finding": ("nih", "--finding", "Pneumonia"),
        "is a generator with other settings": ("nih", "--set", "steps=9"),
        "was trained on other images": ("more", *finding, "-o", "third"),
    }
    for sentence, arguments in wrong.items():
        code, _, err = command(*arguments)
        assert code not in (0, 1), sentence
        assert sentence in err
    (tmp_path / "generator" / "model.safetensors").write_bytes(b"short")
    code, _, err = command("nih", *finding, "-o", "third")
    assert code not in (0, 1)
    assert "missing or damaged" in err


def test_a_corpus_of_few_images_is_refused(tmp_path: Path, command: Command) -> None:
    write_nih(tmp_path / "nih", 12)
    code, _, err = command("nih", settings=SETTINGS)
    assert code not in (0, 1)
    assert "a generator needs at least 16" in err


def test_a_corpus_without_labels_is_refused(tmp_path: Path, command: Command) -> None:
    folder = tmp_path / "reports"
    for number in range(20):
        write_png(folder / f"{number}.png", noise_image(number))
    rows = "".join(f"{number}.png,No effusion.,{number}\n" for number in range(20))
    (folder / "reports.csv").write_text(f"image,findings,patient_id\n{rows}")
    code, _, err = command("reports", settings=SETTINGS)
    assert code == CorpusError.exit_code
    assert "reports: no study has labels of findings, which a generator needs; give a corpus with a column for" in err


def test_a_stop_before_the_first_step_mentions_resume(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nih(tmp_path / "nih", 60)

    def stopped(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr("report_gen_training.synthesis.training_images.cache_images", stopped)
        code, _, err = command("nih", settings=SETTINGS)
    assert code == 143
    assert "stopped by SIGTERM; decoded images are kept; --resume continues" in err
    assert command("nih", "--resume", settings=SETTINGS)[0] == 0


def test_the_help_lists_the_settings_with_their_defaults() -> None:
    recipe = GeneratorRecipe()
    settings = [describe_setting(recipe, name) for name in GeneratorRecipe.model_fields]
    assert ", ".join(settings) == DEFAULTS
    readme = (Path(__file__).parents[3] / "training" / "README.md").read_text()
    assert all(f"`{setting}`" in readme for setting in settings)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("size", "--set size: write KEY=VALUE"),
        ("sizes=32", "--set sizes: no such key; use size, channels"),
        ("size=36", "the side must be a multiple of 8"),
        ("size=9999", "--set size=9999: write a whole number of at least 16 and at most 256, such as 64"),
        ("channels=10,20", "give multiples of 8"),
        ("channels=", "give multiples of 8"),
        ("channels=a,16", "--set channels=a: write whole numbers with commas, such as 32,64,128"),
        ("steps=many", "--set steps=many: write a whole number of at least 1 and at most 100000000, such as 10000"),
        ("precision=fp16", "--set precision=fp16: write one of auto, fp32, bf16, such as auto"),
        ("label_dropout=1", "--set label_dropout=1: write a number above 0 and below 1, such as 0.15"),
    ],
)
def test_wrong_settings(setting: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        generator_recipe([setting])
    assert message in str(caught.value)


def test_settings_are_read() -> None:
    assert generator_recipe(["channels=[16, 32]", "size=32", "learning_rate=1e-4"]) == GeneratorRecipe(
        channels=(16, 32), size=32, learning_rate=1e-4
    )


def test_a_finding_without_training_images_is_refused_before_the_training(tmp_path: Path, command: Command) -> None:
    write_nih(tmp_path / "nih", 60)
    code, out, err = command("nih", "--finding", "Pneumonia", settings=SETTINGS)
    assert code == 3
    assert "no training image has the finding 'Pneumonia'" in err
    assert "generator: " not in out
    assert not (tmp_path / "generator" / "model.safetensors").exists()
