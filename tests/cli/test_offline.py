"""Commands that draft or score never reach the network; training may, because a recipe can name a hub."""

from __future__ import annotations

import os
from pathlib import Path

import huggingface_hub
import pytest

from report_gen.cli.offline import OFFLINE
from tests.builders import REPORTS, noise_image, tiny_config, tiny_model, write_checkpoint, write_png
from tests.checkpoint_damage import edit_config, edit_weights
from tests.cli.conftest import Command
from tests.network import blocked_network


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with the switches off, and restore them after the test."""
    for name in OFFLINE:
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


def is_offline() -> bool:
    return {name: os.environ[name] for name in OFFLINE} == OFFLINE and huggingface_hub.is_offline_mode()


def test_draft_and_score_never_connect(report_gen: Command, checkpoint: Path, tmp_path: Path) -> None:
    image = write_png(tmp_path / "chest.png", noise_image())
    drafts, references = tmp_path / "drafts.txt", tmp_path / "references.txt"
    for texts in (drafts, references):
        texts.write_text("\n".join(REPORTS))
    with blocked_network() as attempts:
        assert report_gen("draft", image, "--checkpoint", checkpoint, "--candidates", 1).code == 0
        assert is_offline()
        assert report_gen("score", drafts, references, "--no-java", "--bootstrap", 0).code == 0
    assert attempts == []


@pytest.mark.parametrize("command", ["draft", "demo", "score", "evaluate", "corpus"])
def test_every_command_but_train_is_offline(report_gen: Command, command: str) -> None:
    assert report_gen(command, "--help").code == 0
    assert is_offline()


def test_training_may_reach_a_hub(report_gen: Command) -> None:
    assert report_gen("train", "--help").code == 0
    assert not huggingface_hub.is_offline_mode()
    assert os.environ["HF_HUB_OFFLINE"] == ""


@pytest.mark.parametrize("output_format", ["txt", "json"])
def test_a_hostile_checkpoint_ends_with_4_and_one_sentence(
    report_gen: Command, tmp_path: Path, output_format: str
) -> None:
    image = write_png(tmp_path / "chest.png", noise_image())
    folder = write_checkpoint(tmp_path / "tiny", model=tiny_model(tiny_config()))
    edit_weights(folder, lambda weights: weights["projector.finding_bias"].fill_(float("nan")))
    with blocked_network() as attempts:
        nan = report_gen("draft", image, "--checkpoint", folder, "--format", output_format)
        edit_config(folder, lambda config: config["encoder"].update(arguments={"pretrained": True}))
        download = report_gen("draft", image, "--checkpoint", folder, "--format", output_format)
    assert attempts == []
    assert (nan.code, nan.out, nan.err.count("\n")) == (4, "", 1)
    assert "projector.finding_bias contains NaN or infinite numbers" in nan.err
    assert (download.code, download.out, download.err.count("\n")) == (4, "", 1)
    assert "the encoder argument 'pretrained' is not allowed, as it would download weights" in download.err
