"""Models built from a recipe, with pretrained weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
import timm
import torch
from report_gen_training.engine.model_building import build_model
from report_gen_training.optimization.objectives import report_loss
from report_gen_training.optimization.optimizer import build_optimizer
from report_gen_training.recipe.model import ModelRecipe
from report_gen_training.recipe.schema import Recipe
from safetensors.torch import save_file

from report_gen.config import SequenceConfig
from report_gen.errors import CheckpointError, RecipeError, UsageError
from report_gen.generation import Decoding, generate_tokens
from report_gen.model import ReportModel, load_checkpoint
from tests.builders import GPT2, LLAMA, SIZE, tiny_model, tiny_recipe, tokenizer, write_checkpoint, write_language_model


def recipe(data: Path, **model: Any) -> Recipe:
    return tiny_recipe(data, model=tiny_recipe(data).model.model_dump() | model)


def build(recipe: Recipe) -> Any:
    return build_model(recipe, tokenizer().vocabulary_size)


def timm_model() -> torch.nn.Module:
    """Return timm's model with its classification head."""
    torch.manual_seed(5)
    return timm.create_model("test_vit", in_chans=1, img_size=SIZE)


def test_the_seed_determines_the_initial_weights(tmp_path: Path) -> None:
    one, same, other = (
        build(tiny_recipe(tmp_path, seed=seed)).projector.state_embedding.detach() for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_an_encoder_takes_weights_from_a_file_relative_to_the_data(tmp_path: Path) -> None:
    source = timm_model()
    save_file(source.state_dict(), tmp_path / "vit.safetensors")
    backbone = build(recipe(tmp_path, encoder_weights="vit.safetensors")).encoder.backbone
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name


def with_image_weights(folder: Path, **changes: Any) -> Recipe:
    chosen = tiny_recipe(folder)
    return chosen.model_copy(
        update={"seed": 7, "model": ModelRecipe.model_validate(chosen.model.model_dump() | changes)}
    )


def image_side(folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """Write a checkpoint with the encoder and the findings of the tiny recipe, and return its weights."""
    config = build(tiny_recipe(folder)).config.model_copy(update=changes)
    model = tiny_model(config)
    write_checkpoint(folder / "run" / "best", model=model)
    return model.state_dict()


def test_a_model_takes_the_image_side_of_a_checkpoint(tmp_path: Path) -> None:
    source = image_side(tmp_path)
    decoder = {"width": 48, "layers": 1, "heads": 2, "positions": 160}
    model = build(with_image_weights(tmp_path, image_weights="run", decoder=decoder)).state_dict()
    same = {name for name, tensor in model.items() if torch.equal(tensor, source.get(name, torch.empty(0)))}
    assert {name for name in source if name.startswith("encoder.")} <= same
    assert {"projector.finding_queries", "projector.row_embedding", "projector.finding_bias"} <= same
    assert "projector.finding_mlp.0.weight" not in same
    assert not any(name.startswith("decoder.") and "wte" in name for name in same)


SEQUENCE = {"kind": "recurrent", "width": 16}


@torch.inference_mode()
def test_a_model_without_sequence_encoder_is_extended_by_one_that_changes_nothing(tmp_path: Path) -> None:
    image_side(tmp_path)
    plain, extended = (
        build(with_image_weights(tmp_path, image_weights="run", sequence=sequence)).eval()
        for sequence in (None, SEQUENCE)
    )
    assert extended.config.sequence == SequenceConfig.model_validate(SEQUENCE)
    pixel_values, views = torch.randn(2, 3, 1, SIZE, SIZE), torch.zeros(2, 3).long()
    offsets = torch.arange(18.0).reshape(2, 3, 3)
    inputs = (pixel_values, views, torch.ones_like(views).bool(), None, offsets)
    found, expected = extended.encode_images(*inputs), plain.encode_images(*inputs)
    assert torch.equal(found.finding_logits, expected.finding_logits)
    assert torch.equal(found.finding_attention, expected.finding_attention)


def test_a_model_takes_the_sequence_encoder_of_a_checkpoint(tmp_path: Path) -> None:
    source = image_side(tmp_path, sequence=SequenceConfig.model_validate(SEQUENCE))
    model = build(with_image_weights(tmp_path, image_weights="run", sequence=SEQUENCE)).state_dict()
    names = [name for name in model if name.startswith("sequence.")]
    assert names
    assert all(torch.equal(model[name], source[name]) for name in names)
    for other in (None, SEQUENCE | {"width": 32}):
        with pytest.raises(RecipeError, match="differs in sequence; use the settings of its recipe"):
            build(with_image_weights(tmp_path, image_weights="run", sequence=other))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"locations": True}, "the model in .* differs in locations; use the settings of its recipe"),
        ({"image_weights": "nowhere"}, "model.image_weights: .*nowhere"),
        ({"encoder": {"name": "test_resnet", "image_size": SIZE, "channels": 1}}, "differs in encoder"),
    ],
)
def test_another_image_side_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    image_side(tmp_path)
    with pytest.raises(RecipeError, match=message):
        build(with_image_weights(tmp_path, **({"image_weights": "run"} | changes)))


def test_position_embeddings_are_interpolated_to_another_image_size(tmp_path: Path) -> None:
    encoder = {"name": "test_resnet", "image_size": SIZE, "channels": 1}
    small = build(recipe(tmp_path, encoder=encoder))
    torch.nn.init.normal_(small.projector.row_embedding)
    torch.nn.init.normal_(small.projector.column_embedding)
    write_checkpoint(tmp_path / "run" / "best", model=small)
    large = build(with_image_weights(tmp_path, image_weights="run", encoder=encoder | {"image_size": 2 * SIZE}))
    rows, columns = small.projector.row_embedding[:, 0], small.projector.column_embedding[0]  # [grid,D]
    grid = len(rows)
    places = (np.arange(2 * grid) + 0.5) / 2 - 0.5  # of the new patches, in old patches
    for old, new in ((rows, large.projector.row_embedding[:, 0]), (columns, large.projector.column_embedding[0])):
        for before, after in zip(old.detach().numpy().T, new.detach().numpy().T, strict=True):
            np.testing.assert_allclose(after, np.interp(places, np.arange(grid), before), rtol=0, atol=1e-6)


def test_the_image_sides_of_several_checkpoints_are_averaged(tmp_path: Path) -> None:
    sources = []
    for number in range(3):
        model = build(tiny_recipe(tmp_path, seed=number))
        write_checkpoint(tmp_path / f"run{number}" / "best", model=model)
        sources.append(model.state_dict())
    chosen = with_image_weights(tmp_path, image_weights=["run0", "run1", "run2"])
    averaged = build(chosen).state_dict()
    for name in ("projector.finding_queries", *(name for name in averaged if name.startswith("encoder."))):
        mean = np.mean([source[name].numpy() for source in sources], axis=0)
        np.testing.assert_allclose(averaged[name].numpy(), mean, rtol=0, atol=1e-6, err_msg=name)
    with pytest.raises(RecipeError, match=r"model\.image_weights: .*nowhere"):
        build(with_image_weights(tmp_path, image_weights=["run0", "nowhere"]))


def test_a_damaged_image_side_is_refused(tmp_path: Path) -> None:
    weights = image_side(tmp_path)
    shorter = {name: tensor.clone() for name, tensor in weights.items() if name != "projector.finding_bias"}
    save_file(shorter, tmp_path / "run" / "best" / "model.safetensors")
    with pytest.raises(
        RecipeError, match=r"1 of its \d+ tensors are missing or have another shape, such as projector\.finding"
    ):
        build(with_image_weights(tmp_path, image_weights="run"))


def test_encoder_weights_beside_image_weights_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="image_weights contain the encoder; remove encoder_weights"):
        ModelRecipe.model_validate({"encoder": {"name": "test_vit"}, "image_weights": "a", "encoder_weights": "b"})


def test_an_encoder_takes_timms_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, create = timm_model(), timm.create_model

    def create_model(name: str, *, pretrained: bool = False, **arguments: Any) -> torch.nn.Module:
        return source if pretrained else create(name, **arguments)

    monkeypatch.setattr(timm, "create_model", create_model)
    backbone = build(recipe(tmp_path, encoder_weights="pretrained")).encoder.backbone
    assert torch.equal(backbone.cls_token, source.cls_token)


def test_a_download_is_asked_for_by_encoder_weights_alone(tmp_path: Path) -> None:
    """As an argument of the encoder it would be part of every checkpoint, and download again at every draft."""
    encoder = {"name": "test_vit", "arguments": {"pretrained": True}}
    with pytest.raises(pydantic.ValidationError, match=r'or set model\.encoder_weights = "pretrained" in'):
        recipe(tmp_path, encoder=encoder, encoder_weights="pretrained")


def test_pretrained_weights_that_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(RecipeError, match=r"cannot load the pretrained weights of the encoder 'test_vit'"):
        build(recipe(tmp_path, encoder_weights="pretrained"))


def test_an_encoder_without_pretrained_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "is_model_pretrained", lambda _: False)
    with pytest.raises(
        RecipeError, match="timm has no pretrained weights for the encoder 'test_vit'; give a weights file"
    ):
        build(recipe(tmp_path, encoder_weights="pretrained"))


@pytest.mark.parametrize("content", [None, b"", b"not safetensors" * 10])
def test_encoder_weights_that_cannot_be_read_are_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "vit.safetensors").write_bytes(content)
    with pytest.raises(RecipeError, match=r"vit\.safetensors: encoder weights cannot be read"):
        build(recipe(tmp_path, encoder_weights="vit.safetensors"))


def test_weights_of_another_encoder_are_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("test_resnet", in_chans=1).state_dict(), tmp_path / "resnet.safetensors")
    with pytest.raises(RecipeError, match=r"resnet\.safetensors: not the weights of the encoder 'test_vit'"):
        build(recipe(tmp_path, encoder_weights="resnet.safetensors"))


@pytest.mark.parametrize("conditioning", ["prefix", "cross_attention", "numbers"])
def test_a_pretrained_decoder_goes_into_the_checkpoint(tmp_path: Path, conditioning: str) -> None:
    source = write_language_model(tmp_path / "gpt2", GPT2 | {"n_positions": 512})  # numbers take 472
    model = build(recipe(tmp_path, decoder_weights=str(tmp_path / "gpt2"), conditioning=conditioning))
    ours = model.decoder.language_model.state_dict()
    assert torch.equal(ours["transformer.h.1.mlp.c_fc.weight"], source.state_dict()["transformer.h.1.mlp.c_fc.weight"])
    loaded = load_checkpoint(write_checkpoint(tmp_path / "tiny", model=model)).model
    assert loaded.decoder.positions == 512
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_a_missing_pretrained_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="absent: no causal language model"):
        build(recipe(tmp_path, decoder_weights=str(tmp_path / "absent")))


def with_positions(data: Path, positions: int, **model: Any) -> Recipe:
    decoder = {"width": 32, "layers": 1, "heads": 2, "positions": positions}
    return recipe(data, decoder=decoder, **model)  # reports have at most 60 tokens


@pytest.mark.parametrize(
    ("model", "positions"),
    [
        ({}, 17 + 2 + 10 + 62),
        (
            {"projector": {"patch_tokens": "all", "hidden": 16}},
            17 + 3 * 4 + 10 + 62,
        ),  # 2 x 2 patches in 3 views
        ({"projector": {"patch_tokens": 0, "hidden": 16}}, 17 + 10 + 62),
        ({"conditioning": "cross_attention"}, 10 + 62),
    ],
)
def test_the_decoder_needs_positions_for_the_longest_sequence(
    tmp_path: Path, model: dict[str, Any], positions: int
) -> None:
    size = tokenizer().vocabulary_size
    enough = build_model(with_positions(tmp_path, positions, **model), size, prompt_tokens=10, views=3)
    assert enough.decoder.positions == positions
    fault = (
        rf"10 prompt tokens and 60 report tokens .* need {positions} positions .* decoder has {positions - 1}; lower"
    )
    with pytest.raises(RecipeError, match=fault):
        build_model(with_positions(tmp_path, positions - 1, **model), size, prompt_tokens=10, views=3)


def test_numbers_need_positions_for_their_longest_line(tmp_path: Path) -> None:
    model = {"conditioning": "numbers", "projector": {"numbers": 3, "hidden": 16}}
    line = len(tokenizer().encode("The features of the image are: -9.99, -9.99, -9.99."))
    positions, given = line + 10 + 62, {"prompt_tokens": 10, "views": 3, "encode": tokenizer().encode}
    size = tokenizer().vocabulary_size
    assert build_model(with_positions(tmp_path, positions, **model), size, **given).decoder.positions == positions
    with pytest.raises(RecipeError, match=rf"{line} visual tokens, .* or model\.projector\.numbers, or give"):
        build_model(with_positions(tmp_path, positions - 1, **model), size, **given)


@torch.inference_mode()
def test_the_positions_are_those_that_the_decoder_uses(tmp_path: Path) -> None:
    model = build_model(with_positions(tmp_path, 91), tokenizer().vocabulary_size, prompt_tokens=10, views=1)
    text = torch.full((1, 10 + 1 + 60 + 1), 9)
    visual = model.encode_images(torch.zeros(1, 1, 1, SIZE, SIZE), torch.zeros(1, 1).long(), torch.ones(1, 1).bool())
    tokens, mask = model.visual_tokens(torch.full((1, 17), 3), visual)
    assert model.decoder(tokens, mask, text, torch.ones_like(text)).shape[1] == 72
    with pytest.raises(UsageError, match="92"):
        model.decoder(tokens, mask, torch.full((1, 73), 9), torch.ones(1, 73))


def test_a_mistake_in_the_last_stage_is_reported_at_once(tmp_path: Path) -> None:
    plain = tiny_recipe(tmp_path).stages[0].model_dump()
    stages = [plain, plain | {"name": "last", "rates": {"encoder": 1e-3, "encoder_layers": 8}}]
    with pytest.raises(RecipeError, match="encoder_layers = 8, but the encoder 'test_vit' has 7 layers"):
        build(tiny_recipe(tmp_path, stages=stages))


@pytest.mark.parametrize("decoder", ["scratch", "gpt2", "llama", "adapted"])
def test_checkpointed_activations_give_the_same_gradients(tmp_path: Path, decoder: str) -> None:
    chosen: dict[str, Any] = {"decoder": tiny_recipe(tmp_path).model.decoder.model_dump() | {"dropout": 0.2}}
    if decoder != "scratch":
        write_language_model(tmp_path / "pretrained", LLAMA if decoder == "llama" else GPT2)
        chosen = {"decoder_weights": str(tmp_path / "pretrained"), "lora": {} if decoder == "adapted" else None}
    gradients, passes = [], Counter[bool]()
    for again in (False, True):
        setting = recipe(tmp_path, **chosen).model_copy(update={"checkpoint_activations": again})
        model = build_model(setting, tokenizer().vocabulary_size)
        build_optimizer(model, setting.stages[0])
        block = next(module for module in model.decoder.modules() if type(module).__name__.endswith("MLP"))
        block.register_forward_pre_hook(lambda *_, again=again: passes.update([again]))
        gradients.append(gradients_of(model.train()))
    assert passes == {False: 1, True: 2}
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_checkpointed_activations_give_the_same_drafts(tmp_path: Path) -> None:
    drafts = []
    for again in (False, True):
        model = build(tiny_recipe(tmp_path, checkpoint_activations=again)).eval()
        tokens, mask = model.visual_tokens(torch.full((1, 17), 3), None)
        decoding = Decoding(max_tokens=8)
        (draft,) = generate_tokens(
            model, visual_tokens=tokens, visual_mask=mask, prompt_ids=[[9, 8]], decoding=decoding
        )
        drafts.append(draft)
    assert drafts[0] == drafts[1]


def test_a_decoder_without_activation_checkpointing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.GPT2LMHeadModel.supports_gradient_checkpointing", False)
    with pytest.raises(RecipeError, match="checkpoint_activations: a gpt2 model does not support it; set it to false"):
        build(tiny_recipe(tmp_path, checkpoint_activations=True))


def gradients_of(model: ReportModel) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    ids = torch.randint(4, 60, (2, 9))
    given = {
        "pixel_values": torch.randn(2, 1, 1, SIZE, SIZE),
        "view_positions": torch.zeros(2, 1).long(),
        "view_mask": torch.ones(2, 1).bool(),
        "finding_states": torch.full((2, 17), 3),
    }
    report_loss(model(**given, input_ids=ids, attention_mask=torch.ones_like(ids)).logits, ids).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_encoder_and_decoder_are_compiled_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The language model is not compiled: drafting calls it with a cache that grows with every token."""
    compiled: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module, **_: compiled.append(type(module).__name__))
    build(tiny_recipe(tmp_path))
    assert not compiled
    build(tiny_recipe(tmp_path, compile=True))
    assert compiled == ["ImageEncoder", "ReportDecoder"]


def test_a_compiled_model_has_the_state_of_a_plain_one(tmp_path: Path) -> None:
    plain, compiled = (build(tiny_recipe(tmp_path, compile=wanted)) for wanted in (False, True))
    assert list(plain.state_dict()) == list(compiled.state_dict())
    with torch.compiler.set_stance("force_eager"):  # no compiler is needed here
        expected, found = gradients_of(plain), gradients_of(compiled)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
