"""Generated token ids: reproducible, independent of the batch, without special ids."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
import torch
from transformers.utils import logging as transformers_logging

from report_gen.errors import UsageError
from report_gen.generation import Decoding, GeneratedTokens, generate_tokens, study_generator
from report_gen.model import ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.builders import fix_next_token, tiny_config, tiny_model

K = 4
PROMPTS = [[10, 11, 12], [20], [30, 31, 32, 33, 34]]


@pytest.fixture(scope="module", params=["prefix", "cross_attention"])
def model(request: pytest.FixtureRequest) -> ReportModel:
    return tiny_model(tiny_config(conditioning=request.param))


def generate(model: ReportModel, decoding: Decoding, rows: slice = slice(None)) -> list[GeneratedTokens]:
    tokens = torch.randn(len(PROMPTS), K, 32, generator=torch.Generator().manual_seed(0))[rows]
    return generate_tokens(
        model,
        visual_tokens=tokens,
        visual_mask=torch.ones(tokens.shape[:2], dtype=torch.bool),
        prompt_ids=PROMPTS[rows],
        decoding=decoding,
        generators=[study_generator(decoding.seed, row) for row in range(len(PROMPTS))[rows]],
    )


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_the_global_random_state_is_neither_used_nor_changed(model: ReportModel, method: Any) -> None:
    decoding = Decoding(method=method, max_tokens=15, beams=3, seed=7)
    torch.manual_seed(1)
    first = generate(model, decoding)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert generate(model, decoding) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_the_sample(model: ReportModel) -> None:
    texts = {generate(model, Decoding(method="sample", max_tokens=15, seed=seed))[0].token_ids for seed in range(4)}
    assert len(texts) == 4


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_tokens_do_not_depend_on_the_batch(model: ReportModel, method: Any) -> None:
    decoding = Decoding(method=method, beams=3, max_tokens=15)
    together = generate(model, decoding)
    for row in range(3):
        (alone,) = generate(model, decoding, slice(row, row + 1))
        assert alone.token_ids == together[row].token_ids
        assert alone.probabilities == pytest.approx(together[row].probabilities, abs=1e-5)


def test_max_tokens(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    fix_next_token(model, monkeypatch, {50: 0.0})
    for generated in generate(model, Decoding(max_tokens=7)):
        assert generated.token_ids == (50,) * 7
        assert not generated.ended


def test_reports_never_take_more_positions_than_the_decoder_has(
    model: ReportModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    fix_next_token(model, monkeypatch, {50: 0.0})
    visual = 0 if model.conditioning.adds_cross_attention else K
    lengths = [len(generated.token_ids) for generated in generate(model, Decoding(max_tokens=500))]
    assert lengths == [128 - visual - len(prompt) - 1 for prompt in PROMPTS]


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_long_prompt_costs_the_other_rows_nothing(model: ReportModel, method: Any) -> None:
    """The columns of both rows, padding included, are more than the positions of the decoder."""
    prompts = [[10, 11], [20 + n % 50 for n in range(100)]]
    visual = torch.randn(2, K, 32, generator=torch.Generator().manual_seed(0))

    def tokens(rows: list[int]) -> list[tuple[int, ...]]:
        generated = generate_tokens(
            model,
            visual_tokens=visual[rows],
            visual_mask=torch.ones(len(rows), K, dtype=torch.bool),
            prompt_ids=[prompts[row] for row in rows],
            decoding=Decoding(method=method, max_tokens=60),
        )
        return [one.token_ids for one in generated]

    assert tokens([0, 1]) == [*tokens([0]), *tokens([1])]


def test_each_row_has_its_own_largest_length(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    fix_next_token(model, monkeypatch, {50: 0.0})
    generated = generate_tokens(
        model,
        visual_tokens=torch.zeros(3, K, 32),
        visual_mask=torch.ones(3, K, dtype=torch.bool),
        prompt_ids=PROMPTS,
        decoding=Decoding(),
        max_report_tokens=[3, 9, 3],
    )
    assert [len(one.token_ids) for one in generated] == [3, 9, 3]
    assert not any(one.ended for one in generated)


def test_a_prompt_that_fills_all_positions_is_refused(model: ReportModel) -> None:
    with pytest.raises(UsageError, match="leaves no positions for a report; shorten the indication"):
        generate_tokens(
            model,
            visual_tokens=torch.zeros(1, K, 32),
            visual_mask=torch.ones(1, K),
            prompt_ids=[[9] * 127],
            decoding=Decoding(),
        )


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_special_ids_are_never_generated(model: ReportModel, monkeypatch: pytest.MonkeyPatch, method: Any) -> None:
    fix_next_token(model, monkeypatch, {PAD_ID: 9.0, UNK_ID: 9.0, BOS_ID: 9.0, 60: 0.0})
    for generated in generate(model, Decoding(method=method, max_tokens=5)):
        assert generated.token_ids == (60,) * 5


def test_the_end_token_is_cut_off(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    fix_next_token(model, monkeypatch, {EOS_ID: 3.0})
    assert generate(model, Decoding()) == [GeneratedTokens((), (), ended=True)] * 3


def test_transformers_does_not_warn_of_padding(
    model: ReportModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Rows of one batch end at different lengths, so finished rows are filled up while others go on."""
    transformers_logging.get_logger().addHandler(caplog.handler)
    transformers_logging.get_logger("transformers.modeling_utils").warning_once.cache_clear()  # type: ignore[attr-defined]
    try:
        fix_next_token(model, monkeypatch, {EOS_ID: 0.0, 60: 1.0})
        lengths = set()
        for seed in range(5):
            tokens = generate_tokens(
                model,
                visual_tokens=torch.zeros(3, K, 32),
                visual_mask=torch.ones(3, K, dtype=torch.bool),
                prompt_ids=[[9, 8]] * 3,  # of equal length: transformers drops a mask without padding
                decoding=Decoding(method="sample", max_tokens=20),
                generators=[study_generator(seed, row) for row in range(3)],
            )
            lengths |= {len(one.token_ids) for one in tokens}
    finally:
        transformers_logging.get_logger().removeHandler(caplog.handler)
    assert len(lengths) > 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_beam_search_finds_more_probable_texts_than_greedy_decoding() -> None:
    model = tiny_model(seed=3)

    def mean_log_probability(generated: GeneratedTokens) -> float:
        return float(torch.tensor(generated.probabilities).log().mean())

    greedy = generate(model, Decoding(max_tokens=6))
    beams = generate(model, Decoding(method="beam", beams=8, max_tokens=6))
    pairs = [(mean_log_probability(b), mean_log_probability(g)) for b, g in zip(beams, greedy, strict=True)]
    assert all(beam >= first - 1e-6 for beam, first in pairs)
    assert any(beam > first + 1e-3 for beam, first in pairs)


def test_beam_search_compares_texts_by_their_mean_log_probability(
    model: ReportModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end at once has log 0.4, ten tokens have 10 log 0.6 in all: a lower sum, but a higher mean."""
    fix_next_token(model, monkeypatch, {50: math.log(0.6), EOS_ID: math.log(0.4)})
    for generated in generate(model, Decoding(method="beam", beams=3, max_tokens=10)):
        assert generated.token_ids == (50,) * 10
