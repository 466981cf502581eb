"""A model or a batch that cannot fit into the memory is refused before it is allocated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from report_gen_training.engine import size_check
from report_gen_training.engine.model_building import build_model
from report_gen_training.recipe import Recipe

from report_gen.errors import RecipeError
from report_gen.model import ReportModel
from tests.builders import LLAMA, SIZE, tiny_recipe


def recipe(tmp_path: Path, *, stage: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """Return a recipe whose parts of the model have other values."""
    model = tiny_recipe(tmp_path).model.model_dump()
    return tiny_recipe(
        tmp_path, stage=stage, model=model | {name: (model[name] or {}) | changes[name] for name in changes}
    )


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_check, "memory_bytes", lambda: 10**10)
    monkeypatch.setattr(ReportModel, "__init__", lambda *_, **__: pytest.fail("the model was built"))


@pytest.mark.parametrize(
    ("vocabulary", "changes", "needed"),
    [
        (200, {"decoder": {"width": 32_768}}, "103.1 GB"),  # 2 blocks of 12 width^2 weights of 4 bytes
        (1_000_000, {"decoder": {"width": 4096}}, "18.0 GB"),
        (200, {"decoder": {"layers": 256, "width": 2048}}, "51.5 GB"),
        (200, {"decoder": {"positions": 16_384, "width": 32_768}}, "105.3 GB"),
        (200, {"projector": {"hidden": 32_768}, "decoder": {"width": 32_768}}, "107.4 GB"),
        # 12 width^2 weights of the layer, 2 layers of 12 * 32^2 of the decoder, and vectors
        (200, {"sequence": {"kind": "attention", "width": 16_384, "layers": 1}}, "12.9 GB"),
        # 2 directions of 4 gates with (1.5 width) * (width / 2) weights
        (200, {"sequence": {"kind": "recurrent", "width": 32_768, "layers": 1}}, "25.8 GB"),
    ],
)
def test_weights(tmp_path: Path, vocabulary: int, changes: dict[str, Any], needed: str) -> None:
    message = f"the weights of the model without its image encoder take {needed} or more, but this machine has 10.0 GB"
    with pytest.raises(RecipeError, match=message):
        build_model(recipe(tmp_path, **changes), vocabulary)


def test_a_decoder_of_transformers_is_counted_without_memory(tmp_path: Path) -> None:
    transformer = {"decoder": {"transformer": LLAMA | {"hidden_size": 2**20, "intermediate_size": 2**20}}}
    with pytest.raises(
        RecipeError, match=r"take 52,778\.3 GB or more, .* lower the sizes in model\.decoder\.transformer"
    ):
        build_model(recipe(tmp_path, **transformer), 200)


def test_a_decoder_that_transformers_cannot_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="transformers cannot build a decoder 'llama'"):
        build_model(recipe(tmp_path, decoder={"transformer": LLAMA | {"hidden_act": "nope"}}), 200)


def test_pixels_of_a_step(tmp_path: Path) -> None:
    stage = {"batch_size": 65_536, "accumulate": 64}
    message = (
        r"stages\.0\.batch_size = 65536 with accumulate = 64 needs 17\.2 GB for the pixels of a step, but this machine "
        r"has 10\.0 GB of memory; lower batch_size, accumulate or model\.encoder\.image_size"
    )
    with pytest.raises(RecipeError, match=message):  # 4 bytes of 32 x 32 pixels, 2^22 times
        build_model(recipe(tmp_path, stage=stage), 200)
    assert 4 * SIZE**2 * 65_536 * 64 == 17_179_869_184
    frozen = {"cached_features": 1, "rates": {"decoder": 1e-3}}
    size_check.check_sizes(recipe(tmp_path, stage=stage | frozen), 200)  # pixels are not in the batches


def test_the_count_of_a_model_is_below_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for changes in ({}, {"decoder": {"transformer": LLAMA}}):
        chosen = recipe(tmp_path, **changes)
        model = build_model(chosen, 200)
        decoder, projector = (sum(p.numel() for p in part.parameters()) for part in (model.decoder, model.projector))
        counted, _ = size_check._count_weights(chosen, 200)
        assert 0.9 * decoder < counted < decoder + projector
        assert torch.get_default_device() == torch.device("cpu")
