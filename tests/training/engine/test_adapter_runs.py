"""Runs whose checkpoint is an adapter: stopped and resumed, described, and drafted with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.engine import build_model, train
from report_gen_training.recipe.schema import Recipe
from report_gen_training.run.events import Progress
from safetensors.torch import load_file, save_file

from report_gen.drafting import Drafter
from report_gen.errors import CheckpointError, RecipeError, UsageError
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.model import load_checkpoint, read_config
from tests.builders import LLAMA, tiny_recipe, write_corner_corpus
from tests.network import blocked_network
from tests.pretrained_models import write_pretrained


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_corner_corpus(tmp_path_factory.mktemp("data"), copies=2)
    write_pretrained(folder / "base", LLAMA | {"tie_word_embeddings": True, "max_position_embeddings": 200})
    return folder


def recipe(data: Path, base: Path | str | None = None, *, stored: str = "adapter", **changes: Any) -> Recipe:
    plain = tiny_recipe(data, stage={"steps": 4, "rates": {"projector": 1e-2, "decoder": 3e-2}})
    lora = {"rank": 2, "stored": stored}
    decoder = {"decoder_weights": str(base or data / "base"), "decoder": {"tokenizer": "pretrained-cut"}, "lora": lora}
    return Recipe.model_validate(plain.model_dump() | {"model": plain.model.model_dump() | decoder} | changes)


def ignore(_: Progress) -> None:
    """A callback that does nothing."""


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two uninterrupted runs that differ only in what their checkpoint stores."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        stored: train(recipe(data, stored=stored), folder / stored, resume=False, on_step=ignore)
        for stored in ("merged", "adapter")
    }


def test_both_checkpoints_of_a_training_draft_the_same(data: Path, runs: dict[str, Path]) -> None:
    study = read_study(data / "images" / "test-1.png")
    with blocked_network() as attempts:
        drafters = [Drafter.load(runs["merged"]), Drafter.load(runs["adapter"].parent, base=data / "base")]
    one, other = (drafter.draft(study, decoding=Decoding(max_tokens=40)) for drafter in drafters)
    assert [section.text for section in one.sections] == [section.text for section in other.sections]
    assert attempts == []
    changed = load_file(runs["adapter"] / "model.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in changed.items() if "lora_B" in name)
    assert (runs["adapter"] / "model.safetensors").stat().st_size < (
        runs["merged"] / "model.safetensors"
    ).stat().st_size


def test_the_checkpoint_and_its_card_name_the_base(data: Path, runs: dict[str, Path]) -> None:
    digest = hashlib.sha256((data / "base" / "model.safetensors").read_bytes()).hexdigest()
    adapter = read_config(runs["adapter"]).adapter
    assert adapter is not None
    assert (adapter.base, adapter.sha256, adapter.rank, adapter.alpha) == (str(data / "base"), digest, 2, 16.0)
    assert set(adapter.targets) == {"q_proj", "v_proj"}
    assert adapter.keeps_tokens
    assert f"This checkpoint is an adapter of {data / 'base'} (SHA-256 {digest})" in card(runs["adapter"])
    assert "adapter of" not in card(runs["merged"])
    assert read_config(runs["merged"]).adapter is None


def card(folder: Path) -> str:
    return (folder / "README.md").read_text()


def test_an_interrupted_run_ends_in_the_same_adapter(data: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    class Stopped(Exception):  # noqa: N818 - as a user stops a run
        pass

    def stop(now: Progress) -> None:
        if now.step == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train(recipe(data), tmp_path / "run", resume=False, on_step=stop)
    torch.manual_seed(99)
    best = train(recipe(data), tmp_path / "run", resume=True, on_step=ignore)
    whole, resumed = (load_file(folder / "model.safetensors") for folder in (runs["adapter"], best))
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, atol=1e-6, rtol=1e-6, msg=name)
    assert read_config(best).adapter == read_config(runs["adapter"]).adapter
    state = load_file(tmp_path / "run" / "last" / "model.safetensors")
    assert state.keys() == build_model(recipe(data), read_config(best).vocabulary_size).state_dict().keys()


@pytest.mark.parametrize("stored", ["adapter", "merged"])
def test_another_base_in_a_resumed_run(data: Path, tmp_path: Path, stored: str) -> None:
    """An adapter would name a base that it was not trained on; merged weights are in the saved state."""
    base = tmp_path / "base"
    write_pretrained(base, LLAMA | {"tie_word_embeddings": True, "max_position_embeddings": 200})
    chosen = recipe(data, base, stored=stored)
    train(chosen, tmp_path / "run", resume=False, on_step=ignore)
    weights = load_file(base / "model.safetensors")
    weights["model.norm.weight"] += 1e-3
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    if stored == "merged":
        train(chosen, tmp_path / "run", resume=True, on_step=ignore)
        return
    before = (tmp_path / "run" / "best" / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match=rf"{base}: 1 of \d+ tensors are others than when the run was started; use"):
        train(chosen, tmp_path / "run", resume=True, on_step=ignore)
    assert (tmp_path / "run" / "best" / "model.safetensors").read_bytes() == before


def test_a_name_that_cannot_be_stored_is_refused_before_the_training(data: Path, tmp_path: Path) -> None:
    base = tmp_path / ("b" * 120) / ("c" * 120)
    write_pretrained(base, LLAMA | {"max_position_embeddings": 200})
    with pytest.raises(RecipeError, match=r"cannot be the base of an adapter .*set model\.lora\.stored = \"merged\""):
        train(recipe(data, base), tmp_path / "run", resume=False, on_step=lambda _: pytest.fail("a step was done"))


def test_the_image_side_of_an_adapter_starts_another_model(data: Path, runs: dict[str, Path]) -> None:
    plain = tiny_recipe(data, model=tiny_recipe(data).model.model_dump() | {"image_weights": str(runs["adapter"])})
    stored = load_file(runs["adapter"] / "model.safetensors")
    built = build_model(plain, 60).state_dict()
    name = "projector.finding_queries" if "projector.finding_queries" in stored else "projector.finding_bias"
    assert torch.equal(built[name], stored[name])


def test_the_recipe_in_the_checkpoint_says_what_is_stored(runs: dict[str, Path]) -> None:
    for stored, folder in runs.items():
        training = json.loads((folder / "training.json").read_text())
        assert training["recipe"]["model"]["lora"]["stored"] == stored


def test_an_adapter_does_not_load_without_its_base(runs: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match="give it with base="):
        load_checkpoint(runs["adapter"])
