"""Sampling: the distribution of the model, a generator per study, greedy rows in the same batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from report_gen.generation import Decoding, generate_tokens, study_generator
from report_gen.generation.sampling import Sampler, draw_tokens
from tests.builders import fix_next_token, tiny_model

LOGITS = torch.tensor([1.0, 0.0, -0.5, 2.0, 0.3, -2.0])
DRAWS = 20_000


def draw(sampler: Sampler, draws: int = DRAWS) -> np.ndarray:
    """Counts of the sampled tokens over several calls for one row."""
    tokens = [int(sampler(LOGITS[None], [0])) for _ in range(draws)]
    return np.bincount(tokens, minlength=len(LOGITS))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_samples_are_distributed_as_the_softmax(temperature: float) -> None:
    decoding = Decoding(method="sample", temperature=temperature, top_p=1.0)
    counts = draw(Sampler(decoding, [study_generator(0, "study")]))
    expected = DRAWS * (LOGITS / temperature).double().softmax(0).numpy()
    assert chisquare(counts, expected).pvalue > 1e-3


def test_top_p_keeps_the_most_probable_tokens_and_renormalizes() -> None:
    """The probabilities are 0.57, 0.21, 0.10, 0.08, 0.05, 0.01: the first two reach 0.75."""
    decoding = Decoding(method="sample", temperature=1.0, top_p=0.75)
    counts = draw(Sampler(decoding, [study_generator(0, "study")]))
    assert np.flatnonzero(counts).tolist() == [0, 3]
    expected = DRAWS * LOGITS[[0, 3]].double().softmax(0).numpy()
    assert chisquare(counts[[0, 3]], expected).pvalue > 1e-3


PLAIN = Decoding(method="sample", temperature=1.0, top_p=1.0)


def test_rows_draw_independently_of_each_other() -> None:
    logits = torch.zeros(3, 5000)
    together = Sampler(PLAIN, [study_generator(0, name) for name in "abc"])(logits, [0, 1, 2])
    alone = Sampler(PLAIN, [study_generator(0, "b")])(logits[:1], [0])
    assert together[1] == alone[0]
    assert len(set(together.tolist())) == 3


def test_a_row_without_a_generator_is_greedy() -> None:
    logits = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0))
    sampler = Sampler(PLAIN, [None, study_generator(0, "a")])
    found = torch.stack([sampler(logits, [0, 1]) for _ in range(20)])
    assert torch.equal(found[:, 0], logits[0].argmax().expand(20))
    assert len(set(found[:, 1].tolist())) > 10


def test_the_lowest_temperature_is_greedy() -> None:
    decoding = Decoding(method="sample", temperature=1e-300)
    assert draw(Sampler(decoding, [study_generator(0, "study")]), draws=50).tolist() == [0, 0, 0, 50, 0, 0]


def test_a_candidate_that_ends_does_not_change_what_the_others_draw() -> None:
    logits = torch.zeros(3, 5000)
    all_go_on, one_ended = (Sampler(PLAIN, [study_generator(0, "a")] * 3) for _ in range(2))
    first = all_go_on(logits, [0, 1, 2])
    assert torch.equal(one_ended(logits[:2], [1, 2]), first[1:])
    assert torch.equal(one_ended(logits[:1], [2]), all_go_on(logits, [0, 1, 2])[2:])


@pytest.mark.parametrize(
    ("top_p", "uniform", "token"),
    [
        *((1.0, 0.0, 2), (1.0, 0.49, 2), (1.0, 0.5, 0), (1.0, 0.79, 0), (1.0, 0.8, 3), (1.0, 0.99, 1)),
        *((0.75, 0.62, 2), (0.75, 0.63, 0), (0.75, 0.999, 0), (0.45, 0.999, 2), (0.55, 0.999, 0), (0.01, 0.999, 2)),
    ],
)
def test_the_number_that_is_drawn_chooses_the_token(top_p: float, uniform: float, token: int) -> None:
    """By hand. In descending order the tokens 2, 0, 3, 1 have the cumulative probabilities 0.5, 0.8, 0.95, 1."""
    probabilities = torch.tensor([[0.3, 0.05, 0.5, 0.15]], dtype=torch.float64)
    assert draw_tokens(probabilities, torch.tensor([uniform], dtype=torch.float64), top_p=top_p).tolist() == [token]


def test_a_text_with_many_likely_tokens_does_not_change_the_tokens_of_others() -> None:
    """By hand: the first text has one likely token, the second 1,000 equally likely ones, of which 900 are kept."""
    probabilities = torch.zeros(2, 1_000)
    probabilities[0, 7], probabilities[1] = 1.0, 1 / 1_000
    half = torch.full((2,), 0.5, dtype=torch.float64)
    first, second = draw_tokens(probabilities, half, top_p=0.9).tolist()
    assert first == 7
    order = probabilities[1].sort(descending=True).indices
    assert order.tolist().index(second) == pytest.approx(450, abs=1)


def test_the_generator_depends_on_seed_and_content_alone() -> None:
    def first(seed: int, *content: object) -> float:
        return float(torch.rand(1, generator=study_generator(seed, *content)))

    assert first(0, "a", "b") == first(0, "a", "b")
    assert len({first(0, "a", "b"), first(1, "a", "b"), first(0, "ab"), first(0, "b", "a"), first(0)}) == 5


def test_candidates_that_share_a_generator_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    fix_next_token(model, monkeypatch, dict.fromkeys(range(60, 100), 0.0))
    generator = study_generator(0, "study")
    candidates = generate_tokens(
        model,
        visual_tokens=torch.zeros(4, 2, 32),
        visual_mask=torch.ones(4, 2, dtype=torch.bool),
        prompt_ids=[[9]] * 4,
        decoding=Decoding(method="sample", max_tokens=8),
        generators=[generator] * 4,
    )
    assert len({candidate.token_ids for candidate in candidates}) == 4


@pytest.mark.parametrize("temperature", [1e39, 1.7e308])
def test_a_temperature_beyond_the_numbers_of_float32_makes_all_tokens_equally_probable(temperature: float) -> None:
    """Logits of minus infinity, as of tokens that no text may contain, keep the probability 0."""
    logits = torch.tensor([[-math.inf, 3.0, 1.0, -2.0, 0.0]]).expand(400, -1)
    generators = [study_generator(0, row) for row in range(400)]
    sampler = Sampler(Decoding(method="sample", temperature=temperature, top_p=1.0), generators)
    counts = sampler(logits, range(400)).bincount(minlength=5).tolist()
    assert counts[0] == 0
    assert all(70 < count < 130 for count in counts[1:])
