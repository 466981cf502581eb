"""The decoder: causality, padding, both ways of conditioning, and language models from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from report_gen.errors import CheckpointError, UsageError
from report_gen.generation import Decoding
from report_gen.generation.decoding import generate_ids
from report_gen.model import ReportModel
from report_gen.model.decoder import ReportDecoder
from report_gen.model.language_model import build_from_configuration, load_pretrained
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.builders import tiny_config, tiny_model, tokenizer

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}
MODELS: dict[str, dict[str, Any]] = {
    "prefix": {"conditioning": "prefix"},
    "cross_attention": {"conditioning": "cross_attention"},
    "llama": {"decoder": {"transformer": LLAMA}},
}
B, K, L = 3, 4, 9


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> ReportModel:
    return tiny_model(tiny_config(**MODELS[request.param]))


def visual(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randn(B, K, 32, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(B, K, dtype=torch.bool)
    mask[1, -1] = False
    return tokens, mask


def text(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(4, tokenizer().vocabulary_size, (B, L), generator=generator)


def mask_of(ids: torch.Tensor) -> torch.Tensor:
    return torch.ones_like(ids)


@torch.inference_mode()
def test_logits_do_not_depend_on_later_text(model: ReportModel) -> None:
    ids, later = text(), text()
    later[:, 5:] = text(1)[:, 5:]
    before, after = (model.decoder(*visual(), row, mask_of(row)) for row in (ids, later))
    assert before.shape == (B, L, tokenizer().vocabulary_size)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-3)


@torch.inference_mode()
def test_logits_depend_on_the_visual_tokens_but_not_on_masked_ones(model: ReportModel) -> None:
    ids, (tokens, mask) = text(), visual()
    before = model.decoder(tokens, mask, ids, mask_of(ids))
    tokens[1, -1] += 100
    torch.testing.assert_close(model.decoder(tokens, mask, ids, mask_of(ids)), before)
    tokens[:, 0] *= -1  # a shift would be lost in the first layer norm
    change = (model.decoder(tokens, mask, ids, mask_of(ids)) - before).abs().amax((1, 2))
    assert (change > 1e-3).all()


@pytest.mark.parametrize("side", ["left", "right"])
@torch.inference_mode()
def test_padding_changes_nothing(model: ReportModel, side: str) -> None:
    ids = text()
    alone = model.decoder(*visual(), ids, mask_of(ids))
    pads, nothing = ids.new_full((B, 3), PAD_ID), ids.new_zeros((B, 3))
    pieces, masks = ([pads, ids], [nothing, mask_of(ids)]) if side == "left" else ([ids, pads], [mask_of(ids), nothing])
    padded = model.decoder(*visual(), torch.cat(pieces, 1), torch.cat(masks, 1))
    kept = padded[:, 3:] if side == "left" else padded[:, :L]
    torch.testing.assert_close(kept, alone, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_generation_is_the_argmax_of_full_forwards(model: ReportModel) -> None:
    tokens, mask = visual()
    prompts = [[10, 11, 12, 13], [20], [30, 31]]
    generated = generate_ids(
        model, visual_tokens=tokens, visual_mask=mask, prompt_ids=prompts, decoding=Decoding(max_tokens=12)
    )
    for row, prompt in enumerate(prompts):
        ids, believed = [*prompt, BOS_ID], []
        for _ in range(12):
            whole = torch.tensor([ids])
            logits = model.decoder(tokens[row : row + 1], mask[row : row + 1], whole, mask_of(whole))[0, -1]
            believed.append(logits.softmax(-1))
            logits[[PAD_ID, UNK_ID, BOS_ID]] = -torch.inf
            ids.append(int(logits.argmax()))
            if ids[-1] == EOS_ID:
                break
        written = [token for token in ids[len(prompt) + 1 :] if token != EOS_ID]
        assert list(generated[row].token_ids) == written
        expected = [float(step[token]) for step, token in zip(believed, written, strict=False)]
        assert generated[row].probabilities == pytest.approx(expected, abs=1e-5)


@torch.inference_mode()
def test_prefix_and_plain_text_are_one_sequence() -> None:
    model = tiny_model()
    words, ids = text(1)[:, :K], text()
    embedded = model.decoder.language_model.get_input_embeddings()(words)
    ours = model.decoder(embedded, torch.ones(B, K), ids, mask_of(ids))
    theirs = model.decoder.language_model(input_ids=torch.cat([words, ids], dim=1)).logits[:, K:]
    torch.testing.assert_close(ours, theirs)


@torch.inference_mode()
def test_more_places_than_the_decoder_has_are_refused() -> None:
    model = tiny_model()
    ids = torch.full((B, 125), 9)
    with pytest.raises(UsageError, match=r"129 places.*128"):
        model.decoder(*visual(), ids, mask_of(ids))


def test_a_llama_has_no_cross_attention() -> None:
    config = tiny_config(conditioning="cross_attention", decoder={"transformer": LLAMA})
    with pytest.raises(CheckpointError, match=r"a llama decoder has no cross-attention; use conditioning = 'prefix'"):
        ReportModel(config)


@pytest.mark.parametrize(
    "transformer", [{"model_type": "no-such-type"}, {"hidden_size": 8}, LLAMA | {"num_attention_heads": 3}]
)
def test_a_configuration_that_transformers_cannot_build_is_refused(transformer: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="transformers"):
        build_from_configuration(transformer, vocabulary_size=50, cross_attention=False)


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreTrainedModel]:
    """A pretrained model as transformers saves it, with a vocabulary of its own."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    config = AutoConfig.for_model(**(GPT2 if request.param == "gpt2" else LLAMA), vocab_size=77)
    theirs = AutoModelForCausalLM.from_config(config)
    theirs.save_pretrained(folder)
    return folder, theirs


def test_a_pretrained_body_keeps_its_weights_under_new_words(saved: tuple[Path, PreTrainedModel]) -> None:
    folder, theirs = saved
    ours = load_pretrained(str(folder), vocabulary_size=50, cross_attention=False)
    words = {name for name, tensor in theirs.state_dict().items() if 77 in tensor.shape}
    body = theirs.state_dict().keys() - words
    assert body
    assert words
    assert all(torch.equal(ours.state_dict()[name], theirs.state_dict()[name]) for name in body)
    assert ours.get_input_embeddings().weight.shape == (50, 32)
    assert ours.get_output_embeddings().weight.shape == (50, 32)
    assert (ours.config.bos_token_id, ours.config.eos_token_id, ours.config.pad_token_id) == (BOS_ID, EOS_ID, PAD_ID)
    assert ReportDecoder(ours, cross_attention=False).positions == 128


def test_a_pretrained_gpt2_gets_cross_attention(tmp_path: Path) -> None:
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**GPT2, vocab_size=77))
    theirs.save_pretrained(tmp_path)
    decoder = ReportDecoder(
        load_pretrained(str(tmp_path), vocabulary_size=50, cross_attention=True), cross_attention=True
    )
    assert decoder(torch.randn(1, 2, 32), torch.ones(1, 2), torch.tensor([[5, 6]]), torch.ones(1, 2)).shape == (
        1,
        2,
        50,
    )


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"absent: no causal language model .*give a local folder or a hub name"):
        load_pretrained(missing, vocabulary_size=50, cross_attention=False)


def test_a_pickled_model_is_refused(tmp_path: Path) -> None:
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**GPT2, vocab_size=77))
    theirs.config.save_pretrained(tmp_path)
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors"):
        load_pretrained(str(tmp_path), vocabulary_size=50, cross_attention=False)


def test_a_hub_name_without_the_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"^nobody/nothing: no causal language model [^.]*$"):
        load_pretrained("nobody/nothing", vocabulary_size=50, cross_attention=False)
