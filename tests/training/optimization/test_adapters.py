"""Adapters on a pretrained decoder: trained and frozen weights, and checkpoints without adapters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from report_gen_training.engine.model_building import build_model, describe_decoder
from report_gen_training.optimization.adapters import frozen_parameters, merged_state
from report_gen_training.optimization.optimizer import build_optimizer, parameters_by_part
from report_gen_training.recipe import ModelRecipe

from report_gen.errors import RecipeError
from report_gen.model import ReportModel, load_checkpoint
from tests.adapted_models import draft, inputs, learn, recipe
from tests.builders import GPT2, LLAMA, tiny_recipe, tokenizer, write_checkpoint, write_language_model

KINDS = {"gpt2": GPT2, "llama": LLAMA}
CASES = [("gpt2", "prefix"), ("gpt2", "cross_attention"), ("llama", "prefix")]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pretrained")
    for kind, transformer in KINDS.items():
        write_language_model(folder / kind, transformer)
    return {kind: folder / kind for kind in KINDS}


@pytest.fixture(params=CASES, ids="-".join)
def adapted(request: pytest.FixtureRequest, pretrained: dict[str, Path]) -> ReportModel:
    """A model whose adapters were trained for a few steps."""
    kind, conditioning = request.param
    setting = recipe(pretrained[kind], conditioning=conditioning)
    model = build_model(setting, tokenizer().vocabulary_size)
    learn(model, setting)
    return model.eval()


def test_adapters_and_new_layers_are_trained_and_pretrained_weights_are_not(
    adapted: ReportModel, pretrained: dict[str, Path]
) -> None:
    kind = adapted.decoder.language_model.config.model_type
    theirs = write_language_model(pretrained[kind].parent / "again", KINDS[kind]).state_dict()
    kept = frozen_parameters(adapted)
    assert len(kept) == len(adapted.decoder.pretrained)
    parameters = dict(adapted.named_parameters())
    for name in kept:
        plain = name.removeprefix("decoder.language_model.").replace(".base_layer.", ".")
        assert torch.equal(parameters[name], theirs[plain]), name
        assert not parameters[name].requires_grad
    learning = {name for name in parameters if name.startswith("decoder") and name not in kept}
    kinds = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in learning if ".lora_" in name}
    assert kinds == {"gpt2": {"c_attn"}, "llama": {"q_proj", "v_proj"}}[kind]
    embeddings = adapted.decoder.language_model.get_input_embeddings().weight
    assert any(parameters[name] is embeddings for name in learning)
    assert all(parameters[name].requires_grad for name in learning)
    if adapted.conditioning.adds_cross_attention:
        assert "decoder.language_model.transformer.h.0.crossattention.c_attn.weight" in learning


def test_the_parts_include_the_adapters(adapted: ReportModel) -> None:
    listed = {id(parameter) for group in parameters_by_part(adapted).values() for parameter in group}
    assert listed == {id(parameter) for parameter in adapted.parameters()}


@torch.inference_mode()
def test_the_saved_checkpoint_is_plain_and_drafts_like_the_adapted_model(adapted: ReportModel, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in adapted.state_dict().items()}
    folder = write_checkpoint(tmp_path / "best", model=adapted, state=merged_state(adapted))
    assert all(torch.equal(tensor, before[name]) for name, tensor in adapted.state_dict().items())
    plain = load_checkpoint(folder).model
    assert not any("lora" in name or "base_layer" in name for name in plain.state_dict())
    given = inputs(4)
    torch.testing.assert_close(plain(**given).logits, adapted(**given).logits, atol=1e-5, rtol=1e-4)
    one, other = (draft(model, given) for model in (adapted, plain))
    assert one == other
    assert any(one)


@torch.inference_mode()
def test_merging_changes_only_weights_with_adapters(adapted: ReportModel) -> None:
    plain, state = merged_state(adapted), adapted.state_dict()
    changed = {
        name
        for name in state
        if ".base_layer." in name and not torch.equal(state[name], plain[name.replace(".base_layer.", ".")])
    }
    assert changed
    assert all(name.endswith("weight") for name in changed)
    assert all(torch.equal(plain[name], tensor) for name, tensor in state.items() if name in plain)


def test_new_adapters_change_nothing(pretrained: dict[str, Path]) -> None:
    setting = recipe(pretrained["gpt2"])
    without = setting.model_copy(update={"model": setting.model.model_copy(update={"lora": None})})
    one, other = (build_model(each, tokenizer().vocabulary_size).eval() for each in (setting, without))
    torch.testing.assert_close(one(**inputs()).logits, other(**inputs()).logits, atol=0, rtol=0)
    assert not frozen_parameters(other)


def test_an_adapted_model_resumes_from_its_state(pretrained: dict[str, Path], adapted: ReportModel) -> None:
    kind = adapted.decoder.language_model.config.model_type
    conditioning = "cross_attention" if adapted.conditioning.adds_cross_attention else "prefix"
    again = build_model(recipe(pretrained[kind], conditioning=conditioning), tokenizer().vocabulary_size)
    again.load_state_dict(adapted.state_dict())
    torch.testing.assert_close(again.eval()(**inputs()).logits, adapted(**inputs()).logits, atol=0, rtol=0)


def test_adapters_of_a_frozen_decoder_are_frozen(pretrained: dict[str, Path]) -> None:
    setting = recipe(pretrained["gpt2"])
    model = build_model(setting, tokenizer().vocabulary_size)
    stage = setting.stages[0].model_copy(update={"rates": setting.stages[0].rates.model_copy(update={"decoder": 0.0})})
    build_optimizer(model, stage)
    assert not any(parameter.requires_grad for parameter in model.decoder.parameters())


def test_a_plain_model_is_its_own_merged_state(pretrained: dict[str, Path]) -> None:
    model = build_model(tiny_recipe(pretrained["gpt2"]), tokenizer().vocabulary_size)
    state, merged = model.state_dict(), merged_state(model)
    assert list(state) == list(merged)
    assert all(merged[name].data_ptr() == tensor.data_ptr() for name, tensor in state.items())


def test_targets_of_the_recipe(pretrained: dict[str, Path]) -> None:
    model = build_model(recipe(pretrained["llama"], targets=["self_attn.o_proj", "up_proj"]), 60)
    found = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name, _ in model.named_parameters() if ".lora_" in name}
    assert found == {"o_proj", "up_proj"}


@pytest.mark.parametrize("target", ["query", "wte", "lm_head"])
def test_targets_without_a_pretrained_layer_are_refused(pretrained: dict[str, Path], target: str) -> None:
    fault = f"lora: the decoder has no pretrained linear layer '{target}'; set targets to some of c_attn, c_fc, c_proj"
    with pytest.raises(RecipeError, match=fault):
        build_model(recipe(pretrained["gpt2"], targets=["c_attn", target]), 60)


def test_an_architecture_without_default_targets_is_refused(
    pretrained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peft.tuners.lora.LoraModel.target_module_mapping", {})
    with pytest.raises(RecipeError, match="peft has no default targets for a gpt2 decoder; set targets to"):
        build_model(recipe(pretrained["gpt2"]), 60)


def test_adapters_without_a_pretrained_decoder_are_refused(tmp_path: Path) -> None:
    model = tiny_recipe(tmp_path).model.model_dump() | {"lora": {}}
    with pytest.raises(ValueError, match="lora needs a pretrained decoder; set decoder_weights"):
        ModelRecipe.model_validate(model)


def sentences(pretrained: dict[str, Path]) -> Iterator[str]:
    without = recipe(pretrained["gpt2"], conditioning="cross_attention")
    for setting in (
        tiny_recipe(pretrained["gpt2"]),
        without.model_copy(update={"model": without.model.model_copy(update={"lora": None})}),
        recipe(pretrained["llama"]),
    ):
        yield describe_decoder(build_model(setting, 60))


def test_new_weights_are_described(pretrained: dict[str, Path]) -> None:
    assert list(sentences(pretrained)) == [
        "The decoder was trained from scratch.",
        "27 tensors of the decoder are pretrained; its token embeddings are new, and so are 16 tensors of its "
        "cross-attention.",
        "19 tensors of the decoder are pretrained; low-rank adapters were trained in their place; its token embeddings "
        "are new.",
    ]
