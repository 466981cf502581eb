"""Texts of `report-gen bench generation`."""

from __future__ import annotations

import pytest
import torch
from report_gen_training.bench.generation import Conditioned, token_writer

from report_gen.generation import CachedDecoder, Decoding, proposals
from report_gen.tokenizer import EOS_ID
from tests.builders import fix_next_token
from tests.generation.test_cached_generation import DECODERS, build


def test_a_text_that_repeats_itself_is_generated_without_speculation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The most probable token is always the same one, which proposals from the text would foresee."""
    model, lengths = build(**DECODERS["gpt2"]), []
    fix_next_token(model, monkeypatch, {50: 5.0, EOS_ID: -5.0})
    monkeypatch.setattr(proposals, "MIN_WEIGHTS", 1)
    step = CachedDecoder.step_tokens

    def count(self: CachedDecoder, token_ids: list[int], cache: object) -> torch.Tensor:
        lengths.append(len(token_ids))
        return step(self, token_ids, cache)  # type: ignore[arg-type]

    monkeypatch.setattr(CachedDecoder, "step_tokens", count)
    texts = Conditioned(torch.zeros(1, 2, 32), torch.ones(1, 2, dtype=torch.bool), [[10]])
    assert token_writer(model, texts, Decoding(max_tokens=12))() == [(50,) * 12]
    assert lengths == [1] * 11
