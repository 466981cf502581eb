"""Generation with the decoders of this package, against `generate` of transformers and its full forward passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

from report_gen.errors import UsageError
from report_gen.generation import Decoding, GeneratedTokens, inference, study_generator
from report_gen.generation.beam_search import _BeamText, _keep_places
from report_gen.generation.cached_generation import CachedTokenGenerator
from report_gen.generation.key_value_cache import CacheShape, KeyValueCache
from report_gen.generation.sampling import draw_tokens
from report_gen.generation.tokens import TokenRequest
from report_gen.generation.transformers_generation import TransformersTokenGenerator
from report_gen.model import ReportModel
from report_gen.tokenizer import EOS_ID
from tests.builders import replace_output, tiny_config, tiny_model

STUDIES, K = 6, 5
PROMPTS = [[10 + study] * (1 + 2 * (study % 3)) for study in range(STUDIES)]
LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}
DECODERS: dict[str, dict[str, Any]] = {
    "gpt2": {},
    "gpt2-cross-attention": {"conditioning": "cross_attention"},
    "gpt2-exact-gelu": {"transformer": GPT2 | {"model_type": "gpt2", "activation_function": "gelu"}},
    "llama": {"transformer": LLAMA | {"model_type": "llama"}},
    "llama-biases-tied": {
        "transformer": LLAMA | {"model_type": "llama", "attention_bias": True, "tie_word_embeddings": True}
    },
    "llama3-frequencies": {
        "transformer": LLAMA
        | {
            "model_type": "llama",
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        }
    },
    "mistral": {"transformer": LLAMA | {"model_type": "mistral", "sliding_window": None}},
    "qwen2": {"transformer": LLAMA | {"model_type": "qwen2"}},
}
OTHERS: dict[str, dict[str, Any]] = {
    "opt": {"model_type": "opt", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48},
    "mistral-window": LLAMA | {"model_type": "mistral", "sliding_window": 8},
    "gpt2-layer-scale": GPT2 | {"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True},
}
METHODS = {
    "greedy": Decoding(),
    "beam": Decoding(method="beam", beams=4),
    "sample": Decoding(method="sample", temperature=0.7, top_p=0.9),
    "sample-all": Decoding(method="sample", temperature=1.3, top_p=1.0),
}


def build(transformer: dict[str, Any] | None = None, **changes: Any) -> ReportModel:
    decoder = {"width": 32, "layers": 2, "heads": 2, "positions": 128, "transformer": transformer}
    return tiny_model(tiny_config(decoder=decoder, **changes))


@pytest.fixture(scope="module", params=DECODERS)
def model(request: pytest.FixtureRequest) -> ReportModel:
    return build(**DECODERS[request.param])


def inputs(studies: Sequence[int] = range(STUDIES)) -> tuple[torch.Tensor, torch.Tensor, list[list[int]]]:
    """Visual tokens, their mask with missing tokens in the middle, and prompts of three lengths."""
    tokens = torch.randn(STUDIES, K, 32, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(STUDIES, K, dtype=torch.bool)
    mask[2, 2:], mask[4, 1] = False, False
    rows = list(studies)
    return tokens[rows], mask[rows], [PROMPTS[row] for row in rows]


def generate(
    model: ReportModel, monkeypatch: pytest.MonkeyPatch, *, cached: bool, **changes: Any
) -> list[GeneratedTokens]:
    with monkeypatch.context() as patch:
        if not cached:
            patch.setattr(inference, "find_cached_decoder", lambda _: None)
        generator = inference.token_generator(model, *inputs())
        assert isinstance(generator, CachedTokenGenerator if cached else TransformersTokenGenerator)
        return generator.generate(TokenRequest(**changes))


@pytest.mark.parametrize("method", METHODS)
def test_texts_are_those_of_transformers(model: ReportModel, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Several texts per study, in any order, of different largest lengths; three candidates share a generator."""
    studies = [5, 0, 0, 0, 1, 2, 3, 4, 4]

    def texts(cached: bool) -> list[GeneratedTokens]:
        generators = [study_generator(0, study) for study in range(STUDIES)]
        return generate(
            model,
            monkeypatch,
            cached=cached,
            studies=studies,
            limits=[30, 25, 25, 25, 1, 7, 30, 30, 30],
            decoding=METHODS[method],
            generators=[generators[study] for study in studies] if "sample" in method else (),
        )

    ours, theirs = texts(cached=True), texts(cached=False)
    assert [text.token_ids for text in ours] == [text.token_ids for text in theirs]
    assert [text.ended for text in ours] == [text.ended for text in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert our.probabilities == pytest.approx(their.probabilities, abs=1e-5)
    assert len({text.token_ids for text in ours}) > 4


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_some_texts_end_before_others(model: ReportModel, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """An end token that sometimes is the most probable one: texts leave the batch at different times."""
    forward = model.decoder.language_model.get_output_embeddings().forward

    def with_frequent_end(hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = forward(hidden)
        # The random weights give nearly flat distributions: to be drawn, the end token has to stand out.
        above = 2 if method == "sample" else -2 * logits.std(-1)
        logits[..., EOS_ID] = logits.amax(-1) + logits[..., 50] + above
        return logits

    replace_output(model, monkeypatch, with_frequent_end)
    arguments: dict[str, Any] = {
        "studies": [study for study in range(STUDIES) for _ in range(3)],
        "limits": [40] * 3 * STUDIES,
        "decoding": METHODS[method],
    }

    def texts(cached: bool) -> list[tuple[int, ...]]:
        shared = [study_generator(0, study) for study in range(STUDIES) for _ in range(3)]
        chosen = {"generators": shared} if method == "sample" else {}
        return [text.token_ids for text in generate(model, monkeypatch, cached=cached, **arguments, **chosen)]

    ours = texts(cached=True)
    assert ours == texts(cached=False)
    if method == "sample":
        assert len({len(text) for text in ours}) > 2


@torch.inference_mode()
def test_steps_compute_the_logits_of_a_full_forward_pass(model: ReportModel) -> None:
    tokens, mask, prompts = inputs()
    decoder = inference.find_cached_decoder(model.decoder.language_model)
    assert decoder is not None
    input_ids, attention_mask = inference._begin_reports(prompts, tokens.device)
    prefix = decoder.begin(model.decoder.conditioned(tokens, mask, input_ids, attention_mask))
    written = torch.randint(40, 90, (STUDIES, 9), generator=torch.Generator().manual_seed(1))
    text = torch.cat([input_ids, written], 1)
    full = model.decoder(tokens, mask, text, torch.cat([attention_mask, torch.ones_like(written)], 1))
    cache, logits = prefix.start(range(STUDIES), max_tokens=9)
    for step in range(9):
        torch.testing.assert_close(logits, full[:, step - 10], atol=2e-4, rtol=1e-4)
        logits = decoder.step(written[:, step], cache)


@pytest.mark.parametrize("name", OTHERS)
def test_other_decoders_use_transformers(name: str) -> None:
    model = build(transformer=OTHERS[name])
    assert inference.find_cached_decoder(model.decoder.language_model) is None
    assert isinstance(inference.token_generator(model, *inputs()), TransformersTokenGenerator)


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_texts_of_a_sliding_window_do_not_depend_on_the_other_studies(method: str) -> None:
    """Prompts of 1, 3 and 5 tokens, missing visual tokens, and a window of 8."""
    model = build(transformer=OTHERS["mistral-window"])
    tokens, mask, prompts = inputs()

    def write(studies: Sequence[int], views: int = K) -> list[tuple[int, ...]]:
        texts = inference.generate_tokens(
            model,
            visual_tokens=tokens[list(studies), :views],
            visual_mask=mask[list(studies), :views],
            prompt_ids=[prompts[study] for study in studies],
            decoding=METHODS[method],
            generators=[study_generator(0, study) for study in studies],
            max_report_tokens=[12] * len(studies),
        )
        return [text.token_ids for text in texts]

    together = write(range(STUDIES))
    assert together == [write([study])[0] for study in range(STUDIES)]
    assert not mask[2, 2:].any()
    assert together[2] == write([2], views=2)[0]  # as if the other images had none but two visual tokens


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_low_rank_adapters_that_are_not_merged_are_applied(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(**DECODERS[name])
    arguments: dict[str, Any] = {
        "studies": range(STUDIES),
        "limits": [20] * STUDIES,
        "decoding": Decoding(),
    }
    before = generate(model, monkeypatch, cached=True, **arguments)
    torch.manual_seed(0)
    lora = LoraConfig(r=2, init_lora_weights=False, fan_in_fan_out=name == "gpt2")
    inject_adapter_in_model(lora, model.decoder.language_model)
    model.eval()
    after = generate(model, monkeypatch, cached=True, **arguments)
    theirs = generate(model, monkeypatch, cached=False, **arguments)
    assert [text.token_ids for text in after] == [text.token_ids for text in theirs]
    assert after != before


@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("spread", [0.01, 1.0, 8.0])
def test_nucleus_is_that_of_transformers(top_p: float, spread: float) -> None:
    """Flat and peaked distributions over more tokens than are looked at first."""
    logits = torch.randn(20, 500, generator=torch.Generator().manual_seed(0)) * spread
    scores = TemperatureLogitsWarper(0.6)(None, logits)
    expected = TopPLogitsWarper(top_p)(None, scores.clone())
    theirs = expected.isfinite()
    # The smallest and the largest numbers draw the most and the least probable one of the tokens that are kept.
    probabilities = scores.softmax(-1)
    for uniform, descending in ((0.0, True), (1 - 1e-12, False)):
        drawn = draw_tokens(probabilities, torch.full((20,), uniform, dtype=torch.float64), top_p=top_p)
        order = probabilities.masked_fill(~theirs, math.nan).nan_to_num(0 if descending else 2)
        extreme = order.argmax(-1) if descending else order.argmin(-1)
        # Sums of probabilities differ by their order in the last digit: the least probable one may differ by one place.
        rank = probabilities.argsort(descending=True).argsort()
        places = (rank.gather(1, drawn[:, None]) - rank.gather(1, extreme[:, None])).abs()
        assert int(places.max()) <= (0 if descending else 1)


def test_the_last_texts_take_the_places_of_removed_ones() -> None:
    """By hand: of texts 0 to 5, 1 and 2 and 5 are removed; 3 and 4 take the places of 1 and 2."""
    cache = KeyValueCache(CacheShape(1, 1, 1, 1.0), torch.ones(6, 1), length=3, dtype=torch.float32)
    cache.extend(1)
    numbers = torch.arange(6.0).view(6, 1, 1, 1)
    cache.attend(0, numbers, numbers, numbers)
    assert cache.remove({1, 2, 5}) == [0, 3, 4]
    cache.extend(1)
    # Keys of zero weigh the two stored values equally.
    zero, ten = torch.zeros(3, 1, 1, 1), torch.full((3, 1, 1, 1), 10.0)
    assert cache.attend(0, zero, zero, ten).flatten().tolist() == [5.0, 6.5, 7.0]


def test_texts_of_a_beam_search_keep_the_places_of_the_texts_that_they_continue() -> None:
    """By hand: three texts continue the beams 2, 0 and 2; the second one of beam 2 gets the place of beam 1."""
    first, second, third = (_BeamText((token,), (0.0,), 0.0, beam) for token, beam in ((50, 2), (51, 0), (52, 2)))
    assert _keep_places([first, second, third]) == [second, third, first]


@torch.inference_mode()
def test_numbers_that_are_not_finite_give_no_warning() -> None:
    """Warnings are errors in the tests; only the text with such numbers has no finite attention."""
    cache = KeyValueCache(CacheShape(1, 2, 4, 0.5), torch.ones(3, 2), length=3, dtype=torch.float32)
    numbers = torch.ones(3, 2, 2, 4)
    numbers[0], numbers[1] = math.nan, math.inf
    cache.extend(2)
    cache.attend(0, numbers, numbers, numbers)
    cache.extend(1)
    last = numbers[:, 1:]
    assert cache.attend(0, last, last, last).isfinite().flatten(1).all(1).tolist() == [False, False, True]


def test_no_texts_and_limits_below_one_token() -> None:
    model = build(**DECODERS["gpt2"])
    tokens, mask, prompts = inputs([0, 1])
    texts: dict[str, Any] = {"visual_tokens": tokens, "visual_mask": mask}
    none = {"visual_tokens": tokens[:0], "visual_mask": mask[:0]}
    assert inference.generate_tokens(model, **none, prompt_ids=[], decoding=Decoding()) == []
    for limit in (0, -1):
        with pytest.raises(UsageError, match=r"^a report has at least 1 token; increase max_report_tokens$"):
            inference.generate_tokens(
                model, **texts, prompt_ids=prompts, decoding=Decoding(), max_report_tokens=[limit, 5]
            )
    with pytest.raises(UsageError, match=r"^2 texts are sampled with 0 generators; give one per text$"):
        inference.generate_tokens(model, **texts, prompt_ids=prompts, decoding=METHODS["sample"])
