"""Token ids: deterministic, independent of their neighbours, never a special id, with the model's own belief."""

from __future__ import annotations

from functools import wraps
from typing import Any

import pytest
import torch

from report_gen.errors import UsageError
from report_gen.generation import Decoding
from report_gen.generation.decoding import Generated, generate_ids
from report_gen.model import ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.builders import tiny_config, tiny_model, tokenizer

K = 4
PROMPTS = [[10, 11, 12], [20], [30, 31, 32, 33, 34]]


@pytest.fixture(scope="module", params=["prefix", "cross_attention"])
def model(request: pytest.FixtureRequest) -> ReportModel:
    return tiny_model(tiny_config(conditioning=request.param))


def write(model: ReportModel, decoding: Decoding, rows: slice = slice(None)) -> list[Generated]:
    tokens = torch.randn(len(PROMPTS), K, 32, generator=torch.Generator().manual_seed(0))[rows]
    return generate_ids(
        model,
        visual_tokens=tokens,
        visual_mask=torch.ones(tokens.shape[:2], dtype=torch.bool),
        prompt_ids=PROMPTS[rows],
        decoding=decoding,
    )


def favour(model: ReportModel, monkeypatch: pytest.MonkeyPatch, favoured: dict[int, float]) -> None:
    """Let the decoder believe the same of every next token: these ids, and hardly any other."""
    bias = torch.full((tokenizer().vocabulary_size,), -30.0)
    for token, logit in favoured.items():
        bias[token] = logit
    language_model, forward = model.decoder.language_model, model.decoder.language_model.forward

    @wraps(forward)  # generate() reads the signature
    def believing(**arguments: Any) -> Any:
        output = forward(**arguments)
        output.logits = torch.zeros_like(output.logits) + bias
        return output

    monkeypatch.setattr(language_model, "forward", believing)


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_the_same_call_writes_the_same(model: ReportModel, method: Any) -> None:
    decoding = Decoding(method=method, max_tokens=15, beams=3, seed=7)
    torch.manual_seed(1)
    first = write(model, decoding)
    torch.manual_seed(2)
    assert write(model, decoding) == first


def test_sampling_follows_its_seed_and_leaves_the_callers_alone(model: ReportModel) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    texts = {write(model, Decoding(method="sample", max_tokens=15, seed=seed))[0].token_ids for seed in range(4)}
    assert len(texts) == 4
    assert torch.equal(torch.rand(3), expected)


def test_greedy_and_beams_do_not_depend_on_neighbours(model: ReportModel) -> None:
    for decoding in (Decoding(max_tokens=15), Decoding(method="beam", beams=3, max_tokens=15)):
        together = write(model, decoding)
        for row in range(3):
            (alone,) = write(model, decoding, slice(row, row + 1))
            assert alone.token_ids == together[row].token_ids
            assert alone.probabilities == pytest.approx(together[row].probabilities, abs=1e-5)


def test_max_tokens(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    favour(model, monkeypatch, {50: 0.0})
    for generated in write(model, Decoding(max_tokens=7)):
        assert generated.token_ids == (50,) * 7


def test_the_decoders_places_are_never_overrun(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    favour(model, monkeypatch, {50: 0.0})
    longest = max(map(len, PROMPTS)) + 1
    room = 128 - longest - (0 if model.decoder.cross_attention else K)
    assert {len(generated.token_ids) for generated in write(model, Decoding(max_tokens=500))} == {room}


def test_a_prompt_without_room_for_a_report_is_refused(model: ReportModel) -> None:
    with pytest.raises(UsageError, match="leaves no room for a report; shorten the indication"):
        generate_ids(
            model,
            visual_tokens=torch.zeros(1, K, 32),
            visual_mask=torch.ones(1, K),
            prompt_ids=[[9] * 127],
            decoding=Decoding(),
        )


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_special_ids_are_never_written(model: ReportModel, monkeypatch: pytest.MonkeyPatch, method: Any) -> None:
    favour(model, monkeypatch, {PAD_ID: 9.0, UNK_ID: 9.0, BOS_ID: 9.0, 60: 0.0})
    for generated in write(model, Decoding(method=method, max_tokens=5)):
        assert generated.token_ids == (60,) * 5


def test_the_end_is_cut_off_and_belief_is_the_models_own(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    favour(model, monkeypatch, {60: 1.0, 61: 0.0})
    softmax = torch.tensor([1.0, 0.0]).softmax(0)
    for generated in write(model, Decoding(max_tokens=5)):
        assert generated.probabilities == pytest.approx([float(softmax[0])] * 5)
    sampled = write(model, Decoding(method="sample", max_tokens=40, top_p=1.0, temperature=1.5))
    assert {60, 61} <= {token for generated in sampled for token in generated.token_ids}
    for generated in sampled:  # whatever the temperature, the confidence is that of the model
        expected = [float(softmax[token - 60]) for token in generated.token_ids]
        assert generated.probabilities == pytest.approx(expected)
    favour(model, monkeypatch, {EOS_ID: 3.0})
    assert all(generated == Generated((), ()) for generated in write(model, Decoding()))


def test_beams_find_what_greed_misses() -> None:
    """The text of a beam search is at least as likely as the greedy one."""
    model = tiny_model(seed=3)

    def likelihood(generated: Generated) -> float:
        return float(torch.tensor(generated.probabilities).log().mean())

    greedy = write(model, Decoding(max_tokens=6))
    beams = write(model, Decoding(method="beam", beams=8, max_tokens=6))
    assert all(likelihood(b) >= likelihood(g) - 1e-6 for b, g in zip(beams, greedy, strict=True))
    assert any(likelihood(b) > likelihood(g) + 1e-3 for b, g in zip(beams, greedy, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"method": "guess"},
        {"max_tokens": 0},
        {"beams": 0},
        {"candidates": 0},
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"decoding"):
        Decoding(**options)


@pytest.mark.parametrize(
    ("decoding", "named"),
    [
        (Decoding(), {"method", "max_tokens", "candidates"}),
        (Decoding(method="beam"), {"method", "max_tokens", "candidates", "beams"}),
        (Decoding(method="sample"), {"method", "max_tokens", "candidates", "temperature", "top_p", "seed"}),
        (Decoding(candidates=4), {"method", "max_tokens", "candidates", "temperature", "top_p", "seed"}),
    ],
)
def test_provenance_records_the_options_that_had_a_say(decoding: Decoding, named: set[str]) -> None:
    assert decoding.options().keys() == named
