"""Weights files that a recipe names: pipes, devices and values that are not finite are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from report_gen_training.engine.weights_files import check_decoder_folder, read_encoder_weights
from safetensors.torch import save_file

from report_gen.errors import RecipeError
from tests.builders import GPT2, write_language_model


def test_encoder_weights_are_read(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2), "n": torch.tensor(3)}, tmp_path / "w.safetensors")
    weights = read_encoder_weights(tmp_path / "w.safetensors")
    assert torch.equal(weights["w"], torch.ones(2))


def test_encoder_weights_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", Path("/dev/zero"), tmp_path):
        with pytest.raises(
            RecipeError, match=f"{path}: encoder weights must be a regular file, not a folder, pipe or dev"
        ):
            read_encoder_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_encoder_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    save_file({"a": torch.ones(2), "blocks.0.w": torch.tensor([1.0, value])}, tmp_path / "w.safetensors")
    with pytest.raises(RecipeError, match=r"w\.safetensors: the tensor blocks\.0\.w has values that are not finite"):
        read_encoder_weights(tmp_path / "w.safetensors")


def test_decoder_weights_that_are_no_file(tmp_path: Path) -> None:
    write_language_model(tmp_path / "gpt2", GPT2)
    check_decoder_folder(str(tmp_path / "gpt2"))
    check_decoder_folder("gpt2-of-a-hub")
    (tmp_path / "tiny.gguf").touch()
    check_decoder_folder(str(tmp_path / "tiny.gguf"))
    (tmp_path / "gpt2" / "model.safetensors").unlink()
    os.mkfifo(tmp_path / "gpt2" / "model.safetensors")
    with pytest.raises(RecipeError, match=r"model\.safetensors: decoder weights must be a regular file"):
        check_decoder_folder(str(tmp_path / "gpt2"))
    for name in ("/dev/zero", str(tmp_path / "gpt2" / "config.json")):
        with pytest.raises(RecipeError, match=f"{name}: is a file, but decoder_weights needs a folder"):
            check_decoder_folder(name)
