"""A published model is fine-tuned, and its checkpoint drafts and is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.network import blocked_network
from tests.training.adapter_tuning.tuning_runs import FAMILIES, describe, write_corpus

RECIPE = """
name = "tiny"
data = "{data}"
model = "llava.toml"
steps = 80
batch_size = 2
accumulate = 1
learning_rate = 1e-2
validate_every = 80
checkpoint_activations = false
text = {{ max_report_tokens = 48 }}
lora = {{ rank = 32, alpha = 64, dropout = 0.0, parts = ["language", "projector"] }}
corpora = [{{ name = "drawn", path = "corpus" }}]
"""


def test_fine_tuning(
    report_gen: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    describe(FAMILIES["llava"](tmp_path / "llava"))
    corpus = write_corpus(tmp_path / "corpus")
    (tmp_path / "tiny.toml").write_text(RECIPE.format(data=tmp_path))
    capfd.readouterr()  # the progress bars of transformers
    run = tmp_path / "run"
    with blocked_network() as attempts:
        trained = report_gen("train", tmp_path / "tiny.toml", "-o", run)
        drafted = report_gen("draft", corpus / "0.png", corpus / "1.png", "--checkpoint", run, "--format", "json")
        evaluated = report_gen("evaluate", run, corpus, "--split", "val", "--bootstrap", 100)
    assert attempts == []
    assert (trained.code, trained.out) == (0, f"checkpoint: {run / 'best'}\n")
    assert "tiny, step 80: validation loss 0." in trained.err
    assert "The heart is enlarged." in drafted.out
    assert "No pleural effusion." in drafted.out
    assert "fine-tuned with report-gen and not validated clinically" in drafted.out
    assert evaluated.code == 0
    assert {"curves.png", "samples.html", "tensorboard", "log.jsonl"} <= {path.name for path in run.iterdir()}
    refused = report_gen("train", tmp_path / "tiny.toml", "--dry-run")
    assert (refused.code, refused.out) == (2, "")
    assert "--dry-run is for recipes with stages; use --set steps=2 --set validation_drafts=2" in refused.err
