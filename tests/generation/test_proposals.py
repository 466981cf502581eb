"""Proposed tokens: where they come from, and that they change how a text is computed but not the text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from report_gen.errors import CheckpointError
from report_gen.generation import Decoding, GeneratedTokens, generate_tokens
from report_gen.generation import proposals as proposing
from report_gen.generation.cached_decoder import CachedDecoder
from report_gen.generation.proposals import Proposer
from report_gen.model import Continuations, ReportModel
from report_gen.tokenizer import BOS_ID, EOS_ID
from tests.builders import tiny_config, tiny_model

LLAMA = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
LLAMA |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
CONTINUATIONS = Continuations({(5, 6): 7, (6, 7): 8, (4, 5, 6): 9, (9, 9): EOS_ID})


@pytest.mark.parametrize(
    ("tokens", "proposed"),
    [
        ([5, 6], [7, 8]),
        ([4, 5, 6], [9]),  # the longest known end has precedence; nothing is known of 6, 9
        ([3, 4], []),
        ([9, 9], [EOS_ID]),  # nothing follows the end
        ([21, 22, 23, 24, 25, 21, 22, 23], [24, 25, 21, 22, 23, 24]),  # a repetition, which repeats itself
    ],
)
def test_proposals_come_from_reports_and_from_the_text(tokens: Sequence[int], proposed: list[int]) -> None:
    proposer = Proposer([[]], CONTINUATIONS)
    assert proposer.propose(0, tokens, most=9) == proposed
    assert proposer.propose(0, tokens, most=1) == proposed[:1]
    assert proposer.propose(0, tokens, most=0) == []


def test_proposals_come_from_the_prompt() -> None:
    """A prior report in the prompt: the draft repeats a part of it."""
    proposer = Proposer([[50], [31, 32, 33, 34, 35]])
    assert proposer.propose(1, [31, 32, 33], most=3) == [34, 35, BOS_ID]
    assert proposer.propose(0, [31, 32, 33], most=3) == []


@pytest.fixture(scope="module", params=["gpt2", "gpt2-cross-attention", "llama"])
def model(request: pytest.FixtureRequest) -> ReportModel:
    decoder = {"width": 32, "layers": 2, "heads": 2, "positions": 64}
    decoder |= {"transformer": LLAMA} if request.param == "llama" else {}
    conditioning = {"conditioning": "cross_attention"} if "cross" in request.param else {}
    return tiny_model(tiny_config(decoder=decoder, **conditioning))


def generate(model: ReportModel, proposer: Proposer | None = None, *, tokens: int = 40) -> GeneratedTokens:
    visual = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(1))
    (text,) = generate_tokens(
        model,
        visual_tokens=visual,
        visual_mask=torch.ones(1, 5, dtype=torch.bool),
        prompt_ids=[[10, 11]],
        decoding=Decoding(max_tokens=tokens),
        proposer=proposer,
    )
    return text


@pytest.mark.parametrize("right", [1.0, 0.5, 0.0])
def test_proposals_do_not_change_a_text(model: ReportModel, monkeypatch: pytest.MonkeyPatch, right: float) -> None:
    """Proposals that are all right, right for half of the places, and all wrong."""
    alone = generate(model)

    def propose(_: Proposer, study: int, tokens: Sequence[int], *, most: int) -> list[int]:
        assert (study, tuple(tokens)) == (0, alone.token_ids[: len(tokens)])
        following = alone.token_ids[len(tokens) :][: min(most, 4)]
        places = range(len(tokens), len(tokens) + 4)
        wrong = (model.config.vocabulary_size - 1 - token for token in following)
        both = zip(places, following, wrong, strict=False)
        return [token if place % 10 < 10 * right else other for place, token, other in both]

    passes: list[int] = []
    step_tokens = CachedDecoder.step_tokens

    def counted(self: CachedDecoder, token_ids: Sequence[int], *arguments: object) -> torch.Tensor:
        passes.append(len(token_ids))
        return step_tokens(self, token_ids, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(CachedDecoder, "step_tokens", counted)
    monkeypatch.setattr(Proposer, "propose", propose)
    checked = generate(model, Proposer([[10, 11]]))
    assert checked.token_ids == alone.token_ids
    assert checked.ended == alone.ended
    assert checked.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    # The prefix gives the first token, and a pass with four right proposals five more.
    assert len(passes) == {1.0: 8, 0.0: 39}.get(right, len(passes))
    assert sum(passes) > len(passes) * 2


def test_a_text_that_fills_the_decoder_has_no_proposals_beyond(model: ReportModel) -> None:
    alone = generate(model, tokens=500)
    text = (BOS_ID, *alone.token_ids)
    following = {text[end - 2 : end]: text[end] for end in range(2, len(text))}
    assert generate(model, Proposer([[10, 11]], Continuations(following)), tokens=500).token_ids == alone.token_ids


def test_large_decoders_have_proposals(model: ReportModel, monkeypatch: pytest.MonkeyPatch) -> None:
    proposed: list[int] = []
    monkeypatch.setattr(Proposer, "propose", lambda *_, most: proposed.append(most) or [])
    generate(model)
    assert not proposed
    monkeypatch.setattr(proposing, "MIN_WEIGHTS", 1)
    generate(model)
    assert proposed


def test_a_table_is_stored_as_it_is() -> None:
    content = CONTINUATIONS.to_bytes()
    found = Continuations.from_bytes(content, path=Path("x"), vocabulary=10)
    assert [found.next_token(tokens) for tokens in ([5, 6], [4, 5, 6], [9, 9], [1, 1])] == [7, 9, EOS_ID, None]
    assert len(found) == 4
    assert len(Continuations.from_bytes(Continuations({}).to_bytes(), path=Path("x"), vocabulary=10)) == 0


@pytest.mark.parametrize("content", [b"", b"abc", CONTINUATIONS.to_bytes()[:-4]])
def test_a_damaged_table_is_refused(content: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"continuations\.safetensors: not a valid table of continuations"):
        Continuations.from_bytes(content, path=Path("continuations.safetensors"), vocabulary=10)


def test_a_table_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(CheckpointError, match="a token is not in the vocabulary"):
        Continuations.from_bytes(CONTINUATIONS.to_bytes(), path=Path("x"), vocabulary=9)
