"""Token probabilities and sentence confidence, against the logits of a tiny model step by step."""

from __future__ import annotations

import math

import pytest
import torch

from report_gen.generation import Decoding, generate_tokens, study_generator
from report_gen.generation.confidence import geometric_mean
from report_gen.generation.transformers_generation import token_probabilities
from report_gen.tokenizer import BOS_ID, PAD_ID
from tests.builders import fix_next_token, tiny_config, tiny_model


@pytest.mark.parametrize("conditioning", ["prefix", "cross_attention"])
@torch.inference_mode()
def test_each_probability_belongs_to_its_own_token(conditioning: str) -> None:
    """By hand: after every prefix of the text, the softmax of the last logits at the token that follows."""
    model = tiny_model(tiny_config(conditioning=conditioning))
    visual_tokens = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    visual_mask = torch.ones(2, 3, dtype=torch.bool)
    prompts, texts = [[10, 11, 12, BOS_ID], [20, BOS_ID]], [[40, 41, 42, 43, 44], [50, 51, 52, 53, 54]]
    found = token_probabilities(
        model,
        visual_tokens=visual_tokens,
        visual_mask=visual_mask,
        input_ids=torch.tensor([prompts[0], [PAD_ID, PAD_ID, *prompts[1]]]),
        attention_mask=torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]]),
        token_ids=torch.tensor(texts),
    )
    assert found.shape == (2, 5)
    for row, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        for position, token in enumerate(text):
            ids = torch.tensor([[*prompt, *text[:position]]])
            logits = model.decoder(visual_tokens[row : row + 1], visual_mask[row : row + 1], ids, torch.ones_like(ids))[
                0, -1
            ]
            expected = math.exp(logits[token] - torch.logsumexp(logits, 0))
            assert float(found[row, position]) == pytest.approx(expected, abs=1e-5)


def test_the_probability_is_that_of_the_model_whatever_the_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    fix_next_token(model, monkeypatch, {60: 1.0, 61: 0.0})
    softmax = torch.tensor([1.0, 0.0]).softmax(0)
    (sampled,) = generate_tokens(
        model,
        visual_tokens=torch.zeros(1, 2, 32),
        visual_mask=torch.ones(1, 2, dtype=torch.bool),
        prompt_ids=[[9]],
        decoding=Decoding(method="sample", max_tokens=40, top_p=1.0, temperature=1.5),
        generators=[study_generator(0)],
    )
    assert set(sampled.token_ids) == {60, 61}
    assert sampled.probabilities == pytest.approx([float(softmax[token - 60]) for token in sampled.token_ids])


def test_geometric_mean() -> None:
    assert geometric_mean([0.5, 0.5, 0.25]) == pytest.approx((1 / 16) ** (1 / 3))
    assert geometric_mean([0.0]) == pytest.approx(0.0, abs=1e-11)
    assert geometric_mean([]) is None
