"""The decoder: causality, padding, conditioning, and language models from elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from report_gen.errors import CheckpointError, UsageError
from report_gen.generation import Decoding, generate_tokens
from report_gen.model import ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.builders import LLAMA, tiny_config, tiny_model, tokenizer

BERT = {
    "model_type": "bert",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
    "hidden_dropout_prob": 0.0,
}
MODELS: dict[str, dict[str, Any]] = {
    "prefix": {"conditioning": "prefix"},
    "cross_attention": {"conditioning": "cross_attention"},
    "llama": {"decoder": {"transformer": LLAMA}},
    "bert": {"decoder": {"transformer": BERT}},
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
    generated = generate_tokens(
        model, visual_tokens=tokens, visual_mask=mask, prompt_ids=prompts, decoding=Decoding(max_tokens=12)
    )
    for row, prompt in enumerate(prompts):
        ids, token_probabilities = [*prompt, BOS_ID], []
        for _ in range(12):
            whole = torch.tensor([ids])
            logits = model.decoder(tokens[row : row + 1], mask[row : row + 1], whole, mask_of(whole))[0, -1]
            token_probabilities.append(logits.softmax(-1))
            logits[[PAD_ID, UNK_ID, BOS_ID]] = -torch.inf
            ids.append(int(logits.argmax()))
            if ids[-1] == EOS_ID:
                break
        expected_ids = [token for token in ids[len(prompt) + 1 :] if token != EOS_ID]
        assert list(generated[row].token_ids) == expected_ids
        expected = [float(step[token]) for step, token in zip(token_probabilities, expected_ids, strict=False)]
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
def test_more_positions_than_the_decoder_has_are_refused() -> None:
    model = tiny_model()
    ids = torch.full((B, 125), 9)
    with pytest.raises(UsageError, match=r"129 positions.*128"):
        model.decoder(*visual(), ids, mask_of(ids))


def test_a_llama_has_no_cross_attention() -> None:
    config = tiny_config(conditioning="cross_attention", decoder={"transformer": LLAMA})
    with pytest.raises(CheckpointError, match=r"a llama decoder has no cross-attention; use conditioning = 'prefix'"):
        ReportModel(config)
