"""Checkpoints with the tokenizer of a pretrained decoder: drafts, evaluation, and files of strangers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from report_gen.errors import CheckpointError
from report_gen.model import ReportModel, load_checkpoint
from report_gen.model.checkpoint_files import MANIFEST, MAX_BYTES, TOKENIZER, TOKENIZER_JSON
from report_gen.tokenizer import PretrainedTokenizer, convert
from tests.builders import GPT2, THRESHOLDS, noise_image, tiny_config, tokenizer, write_checkpoint, write_manifest
from tests.builders import write_png as png
from tests.checkpoint_damage import little_memory, reseal
from tests.cli.conftest import Command
from tests.network import blocked_network
from tests.pretrained_models import byte_level_bpe, source_of


@pytest.fixture
def words() -> PretrainedTokenizer:
    return convert(source_of(byte_level_bpe()))


@pytest.fixture
def folder(words: PretrainedTokenizer, tmp_path: Path) -> Path:
    """A checkpoint with random weights, so its drafts are any bytes."""
    config = tiny_config(
        vocabulary_size=words.vocabulary_size, findings={"present": THRESHOLDS}, decoder={"transformer": GPT2}
    )
    torch.manual_seed(0)
    model = ReportModel(config, encode=words.encode).eval()
    return write_checkpoint(tmp_path / "tiny", model=model, tokenizer=words)


def test_a_checkpoint_keeps_its_tokenizer(folder: Path, words: PretrainedTokenizer) -> None:
    assert {path.name for path in folder.glob("tokenizer*")} == {TOKENIZER_JSON}
    loaded = load_checkpoint(folder).tokenizer
    assert loaded.to_bytes() == words.to_bytes()
    assert loaded.encode("The heart is enlarged.") == words.encode("The heart is enlarged.")


def test_drafting_and_evaluating(report_gen: Command, folder: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(2):
        png(tmp_path / "data" / f"chest-{number}.png", noise_image(number))
        rows.append({"study_id": str(number), "images": [f"chest-{number}.png"], "findings": "Clear.", "split": "test"})
    write_manifest(tmp_path / "data", rows)
    with blocked_network() as attempts:
        drafted = report_gen(
            "draft", tmp_path / "data" / "chest-0.png", "--checkpoint", folder, "--indication", "Cough </s> <|im_end|>."
        )
        evaluated = report_gen("evaluate", folder, tmp_path / "data", "--candidates", 1, "--bootstrap", 100)
    assert (drafted.code, evaluated.code, attempts) == (0, 0, [])


def edit(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads((folder / TOKENIZER_JSON).read_bytes())
    change(content)
    (folder / TOKENIZER_JSON).write_text(json.dumps(content))
    reseal(folder)


def test_hostile_settings_end_with_exit_code_4(report_gen: Command, folder: Path, tmp_path: Path) -> None:
    backtracking = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    edit(folder, lambda content: content.update(pre_tokenizer=backtracking))
    answer = report_gen("draft", png(tmp_path / "chest.png", noise_image()), "--checkpoint", folder)
    assert answer.code == 4
    assert "tiny/tokenizer.json: not a supported tokenizer" in " ".join(answer.err.split())


def test_an_altered_tokenizer_is_refused(folder: Path) -> None:
    (folder / TOKENIZER_JSON).write_bytes((folder / TOKENIZER_JSON).read_bytes() + b" ")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: altered since the checkpoint was written"):
        load_checkpoint(folder)


def test_a_missing_tokenizer_is_refused(folder: Path) -> None:
    (folder / TOKENIZER_JSON).unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: cannot be read"):
        load_checkpoint(folder)


def test_two_tokenizers_are_refused(folder: Path) -> None:
    (folder / TOKENIZER).write_bytes(tokenizer().to_bytes())
    assert isinstance(load_checkpoint(folder).tokenizer, PretrainedTokenizer)  # the manifest does not list the other
    reseal(folder)
    with pytest.raises(CheckpointError, match=r"manifest\.json: lists tokenizer\.model and tokenizer\.json"):
        load_checkpoint(folder)


def test_a_tokenizer_of_another_size_is_refused(folder: Path) -> None:
    edit(folder, lambda content: content["model"]["vocab"].update({"zz": len(content["model"]["vocab"])}))
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: \d+ pieces, but config\.json says \d+"):
        load_checkpoint(folder)


def test_a_huge_tokenizer_is_refused_before_it_is_read(folder: Path) -> None:
    os.truncate(folder / TOKENIZER_JSON, 2**40)
    limit = rf"tokenizer\.json: larger than {MAX_BYTES[TOKENIZER_JSON]} bytes"
    with little_memory(), pytest.raises(CheckpointError, match=limit):
        load_checkpoint(folder)


def test_a_pipe_is_refused(folder: Path) -> None:
    (folder / TOKENIZER_JSON).unlink()
    os.mkfifo(folder / TOKENIZER_JSON)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: is a pipe, not a file"):
        load_checkpoint(folder)


@pytest.mark.parametrize("listed", [[], {}, {TOKENIZER_JSON: 1}, {TOKENIZER_JSON: "00"}])
def test_a_manifest_that_lists_no_digest_is_refused(folder: Path, listed: object) -> None:
    (folder / MANIFEST).write_text(json.dumps(listed))
    with pytest.raises(CheckpointError, match=r"altered since the checkpoint was written|cannot be read"):
        load_checkpoint(folder)
