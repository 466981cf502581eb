"""Models built to a recipe, with weights from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from report_gen_training.building import build_model
from report_gen_training.recipe import Recipe
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from report_gen.errors import CheckpointError, RecipeError
from report_gen.model import load_checkpoint
from tests.builders import SIZE, tiny_recipe, tokenizer, write_checkpoint


def recipe(data: Path, **model: Any) -> Recipe:
    return tiny_recipe(data, model=tiny_recipe(data).model.model_dump() | model)


def build(recipe: Recipe) -> Any:
    return build_model(recipe, tokenizer().vocabulary_size)


def theirs() -> torch.nn.Module:
    """timm's own model, with its head."""
    torch.manual_seed(5)
    return timm.create_model("test_vit", in_chans=1, img_size=SIZE)


def test_the_seed_decides_the_noise(tmp_path: Path) -> None:
    one, same, other = (
        build(tiny_recipe(tmp_path, seed=seed)).projector.state_embedding.detach() for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_an_encoder_takes_weights_from_a_file_relative_to_the_data(tmp_path: Path) -> None:
    source = theirs()
    save_file(source.state_dict(), tmp_path / "vit.safetensors")
    backbone = build(recipe(tmp_path, encoder_weights="vit.safetensors")).encoder.backbone
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name


def test_an_encoder_takes_timms_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, create = theirs(), timm.create_model

    def create_model(name: str, *, pretrained: bool = False, **arguments: Any) -> torch.nn.Module:
        return source if pretrained else create(name, **arguments)

    monkeypatch.setattr(timm, "create_model", create_model)
    backbone = build(recipe(tmp_path, encoder_weights="pretrained")).encoder.backbone
    assert torch.equal(backbone.cls_token, source.cls_token)


def test_timms_own_weights_out_of_reach_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(RecipeError, match=r"pretrained weights of the encoder 'test_vit' cannot be had"):
        build(recipe(tmp_path, encoder_weights="pretrained"))


def test_an_encoder_without_pretrained_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "is_model_pretrained", lambda _: False)
    with pytest.raises(RecipeError, match="timm has no pretrained weights of the encoder 'test_vit'; name a file"):
        build(recipe(tmp_path, encoder_weights="pretrained"))


@pytest.mark.parametrize("content", [None, b"", b"not safetensors" * 10])
def test_encoder_weights_that_cannot_be_read_are_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "vit.safetensors").write_bytes(content)
    with pytest.raises(RecipeError, match=r"vit\.safetensors: encoder weights cannot be read"):
        build(recipe(tmp_path, encoder_weights="vit.safetensors"))


def test_weights_of_another_encoder_are_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet", in_chans=1).state_dict(), tmp_path / "resnet.safetensors")
    with pytest.raises(RecipeError, match=r"resnet\.safetensors: these are not the weights of the encoder 'test_vit'"):
        build(recipe(tmp_path, encoder_weights="resnet.safetensors"))


@pytest.mark.parametrize("conditioning", ["prefix", "cross_attention"])
def test_a_pretrained_decoder_goes_into_the_checkpoint(tmp_path: Path, conditioning: str) -> None:
    torch.manual_seed(5)
    config = AutoConfig.for_model("gpt2", n_embd=32, n_layer=2, n_head=2, n_positions=100, vocab_size=77)
    source = AutoModelForCausalLM.from_config(config)
    source.save_pretrained(tmp_path / "gpt2")
    model = build(recipe(tmp_path, decoder_weights=str(tmp_path / "gpt2"), conditioning=conditioning))
    ours = model.decoder.language_model.state_dict()
    assert torch.equal(ours["transformer.h.1.mlp.c_fc.weight"], source.state_dict()["transformer.h.1.mlp.c_fc.weight"])
    loaded = load_checkpoint(write_checkpoint(tmp_path / "tiny", model=model)).model
    assert loaded.decoder.positions == 100
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_a_pretrained_decoder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="absent: no causal language model"):
        build(recipe(tmp_path, decoder_weights=str(tmp_path / "absent")))
