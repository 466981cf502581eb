"""Steps that are recorded once and replayed: the texts of transformers, with a recorder that imitates a CUDA graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from report_gen.generation import Decoding, RecordedDecoder, find_cached_decoder, inference, study_generator
from report_gen.generation.proposals import Proposer
from report_gen.generation.recorded_steps import StaticCache, Step
from report_gen.generation.tokens import GeneratedTokens, TokenRequest
from report_gen.model import ReportModel
from tests.builders import replace_output
from tests.generation.test_cached_generation import DECODERS, METHODS, STUDIES, build, generate, inputs

RECORDED = [name for name in DECODERS if "cross" not in name]


class Recording(TorchDispatchMode):
    """Records the operators of a step with the tensors that they read and write, as a CUDA graph does."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not all(isinstance(leaf, torch.Tensor) for leaf in tree_leaves(result)):
            raise AssertionError("a step that reads a number on the CPU cannot be recorded")
        self.operators.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """Run the operators again. No other Python code of the step runs."""
        for func, args, kwargs, earlier in self.operators:
            for old, new in zip(tree_leaves(earlier), tree_leaves(func(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Recorder:
    """Counts the recorded steps."""

    def __init__(self) -> None:
        self.texts: list[int] = []

    def __call__(self, step: Step) -> Step:
        step()
        recording = Recording()
        with recording:
            logits = step()
        self.texts.append(len(logits))

        def replay() -> torch.Tensor:
            recording.replay()
            return logits

        return replay


@pytest.fixture(scope="module", params=RECORDED)
def model(request: pytest.FixtureRequest) -> ReportModel:
    return build(**DECODERS[request.param])


def recorded(model: ReportModel, recorder: Recorder) -> RecordedDecoder:
    decoder = find_cached_decoder(model.decoder.language_model)
    assert decoder is not None
    return RecordedDecoder(decoder, recorder)


def write(
    model: ReportModel, decoder: RecordedDecoder, studies: Sequence[int], **changes: Any
) -> list[GeneratedTokens]:
    generator = inference.token_generator(model, *inputs(), None, decoder)
    return generator.generate(TokenRequest(studies=studies, **changes))


@pytest.mark.parametrize("method", METHODS)
def test_texts_are_those_of_transformers(model: ReportModel, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Several texts per study, of different largest lengths; the second batch replays the steps of the first one."""
    recorder = Recorder()
    decoder = recorded(model, recorder)
    for studies in ([5, 0, 0, 0, 1, 2, 3, 4, 4], [3, 0]):

        def arguments(studies: Sequence[int] = studies) -> dict[str, Any]:
            generators = [study_generator(0, study) for study in range(STUDIES)]
            return {
                "limits": [30, 25, 25, 25, 1, 7, 30, 30, 30][-len(studies) :],
                "decoding": METHODS[method],
                "generators": [generators[study] for study in studies] if "sample" in method else (),
            }

        ours = write(model, decoder, studies, **arguments())
        theirs = generate(model, monkeypatch, cached=False, studies=studies, **arguments())
        assert [text.token_ids for text in ours] == [text.token_ids for text in theirs]
        for our, their in zip(ours, theirs, strict=True):
            assert our.probabilities == pytest.approx(their.probabilities, abs=1e-5)
    assert len(set(recorder.texts)) == len(recorder.texts)
    assert all(texts.bit_count() == 1 for texts in recorder.texts)


def test_values_of_earlier_texts_do_not_reach_later_ones() -> None:
    """Keys and values of an earlier batch are not finite; the texts of the next one are those of a new decoder."""
    model = build(**DECODERS["gpt2"])
    arguments: dict[str, Any] = {"limits": [12] * 3, "decoding": Decoding()}
    decoder = recorded(model, Recorder())
    expected = write(model, decoder, [0, 1, 2], **arguments)
    cache = decoder._of_thread.cache
    with torch.inference_mode():
        cache.stored.fill_(math.nan)
    assert write(model, decoder, [0, 1, 2], **arguments) == expected
    assert decoder._of_thread.cache is cache


def test_a_cache_without_room_is_replaced() -> None:
    model, recorder = build(**DECODERS["llama"]), Recorder()
    decoder = recorded(model, recorder)
    sizes = []
    for texts, limit in ((1, 10), (3, 10), (3, 90), (1, 10)):
        write(model, decoder, [0] * texts, limits=[limit] * texts, decoding=Decoding())
        cache = decoder._of_thread.cache
        assert isinstance(cache, StaticCache)
        sizes.append((cache.rows, cache.columns))
    assert sizes == [(1, 64), (4, 64), (4, 128), (4, 128)]
    assert recorder.texts == [1, 4, 4, 1]


def test_threads_do_not_share_a_cache() -> None:
    model = build(**DECODERS["gpt2"])
    decoder = recorded(model, Recorder())
    alone = [write(model, decoder, [study], limits=[25], decoding=Decoding()) for study in range(STUDIES)]

    def draft(study: int) -> list[GeneratedTokens]:
        return write(model, decoder, [study], limits=[25], decoding=Decoding())

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(draft, list(range(STUDIES)) * 3)) == alone * 3


def test_texts_that_end_leave_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of 3 to 40 tokens: steps are recorded for 16, 8, 4, 2 and 1 texts."""
    model, recorder = build(**DECODERS["gpt2"]), Recorder()
    limits = [3, 40, 7, 9, 21, 22, 23, 24, 25, 26, 27, 28]
    studies = [number % STUDIES for number in range(len(limits))]
    arguments: dict[str, Any] = {"studies": studies, "limits": limits, "decoding": Decoding()}
    expected = [text.token_ids for text in generate(model, monkeypatch, cached=False, **arguments)]
    texts = write(model, recorded(model, recorder), **arguments)
    assert [text.token_ids for text in texts] == expected
    assert recorder.texts == [16, 8, 4, 2, 1]


def test_proposals_are_not_checked() -> None:
    model = build(**DECODERS["gpt2"])
    decoder = recorded(model, Recorder())
    generator = inference.token_generator(model, *inputs(), Proposer(inputs()[2]), decoder)
    (text,) = generator.generate(TokenRequest(studies=[0], limits=[20], decoding=Decoding()))
    assert [text] == write(model, decoder, [0], limits=[20], decoding=Decoding())


def test_cross_attention_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    model, recorder = build(**DECODERS["gpt2-cross-attention"]), Recorder()
    arguments: dict[str, Any] = {"studies": [0, 1], "limits": [20] * 2, "decoding": Decoding()}
    texts = write(model, recorded(model, recorder), **arguments)
    theirs = generate(model, monkeypatch, cached=False, **arguments)
    assert [text.token_ids for text in texts] == [text.token_ids for text in theirs]
    assert not recorder.texts


def test_a_step_that_depends_on_a_value_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recorder of these tests notices what would break a CUDA graph."""
    model = build(**DECODERS["gpt2"])
    forward = model.decoder.language_model.get_output_embeddings().forward

    def check_finite(hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = forward(hidden)
        return logits if bool(logits.isfinite().all()) else torch.zeros_like(logits)

    replace_output(model, monkeypatch, check_finite)
    with pytest.raises(AssertionError, match="cannot be recorded"):
        write(model, recorded(model, Recorder()), [0], limits=[5], decoding=Decoding())
