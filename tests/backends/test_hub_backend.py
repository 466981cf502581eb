"""Tests of the generation that backends with a model of transformers share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from report_gen.backends import Backend, GenerationError, ImageTextBackend
from report_gen.backends.token_output import decode
from report_gen.errors import CheckpointError, StudyTimeoutError
from report_gen.generation import Decoding, study_generator
from report_gen.generation.sampling import draw_tokens
from tests.backends.chats import chat, describe, no_deadline
from tests.backends.tiny_models import write_llava

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def backend(llava: Path) -> Backend:
    return ImageTextBackend(describe(llava))


def test_the_first_sample_is_drawn_from_the_nucleus_with_the_number_of_the_chat(llava: Path) -> None:
    backend = ImageTextBackend(describe(llava))
    for seed in range(6):
        request = chat(seed=seed)
        with torch.inference_mode():
            logits = backend._model(**backend._encode(request)).logits[:, -1]
        uniform = torch.rand(1, dtype=torch.float64, generator=study_generator(seed, 0))
        expected = draw_tokens((logits / 1.5).softmax(-1), uniform, top_p=0.8)
        decoding = Decoding(method="sample", temperature=1.5, top_p=0.8, max_tokens=1)
        (replies,) = backend.generate([request], decoding, no_deadline)
        assert not isinstance(replies, GenerationError)
        assert replies[0].probabilities == pytest.approx([float(logits.softmax(-1)[0, expected])], rel=1e-4)


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
def test_the_time_is_checked_before_each_token(backend: Backend, method: Any) -> None:
    calls = 0

    def expire() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise StudyTimeoutError(Path("study"), "too late")

    with pytest.raises(StudyTimeoutError):
        next(backend.generate([chat()], Decoding(method=method, beams=2, max_tokens=50), expire))
    assert calls == 4
    (replies,) = backend.generate([chat()], Decoding(method="greedy", max_tokens=2), no_deadline)  # not locked
    assert isinstance(replies, tuple)


def test_memory_that_is_exhausted_by_a_chat_does_not_end_the_others(llava: Path) -> None:
    backend = ImageTextBackend(describe(llava))
    generate = backend._model.generate

    def exhausted(**arguments: Any) -> Any:
        if arguments["input_ids"].shape[1] > 40:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return generate(**arguments)

    backend._model.generate = exhausted  # type: ignore[method-assign]
    answers = list(backend.generate([chat(), chat(4), chat()], Decoding(max_tokens=2), no_deadline))
    assert [isinstance(one, GenerationError) for one in answers] == [False, True, False]
    assert str(answers[1]).startswith("not enough memory for the chat; use fewer or smaller images")
    assert answers[1].__traceback__ is None  # type: ignore[union-attr]


def test_an_error_of_the_model_is_one_of_the_chat(llava: Path) -> None:
    backend = ImageTextBackend(describe(llava))

    def fail(**_: Any) -> Any:
        raise ValueError("Image features and image tokens do not match")

    backend._model.generate = fail  # type: ignore[method-assign]
    (error,) = backend.generate([chat()], Decoding(max_tokens=2), no_deadline)
    assert isinstance(error, GenerationError)
    assert str(error) == (
        "the model cannot answer the chat (Image features and image tokens do not match); give it other images"
    )


@pytest.mark.parametrize("method", ["greedy", "beam", "sample"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path: Path, method: Any, value: float) -> None:
    folder = write_llava(tmp_path / "llava")
    state = load_file(folder / "model.safetensors")
    (name,) = (name for name in state if name.endswith("lm_head.weight"))
    state[name][7] = value
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    backend = ImageTextBackend(describe(folder))
    with pytest.raises(CheckpointError, match=r"^llava: computes NaN or infinite numbers, so no reply can be trusted"):
        next(backend.generate([chat()], Decoding(method=method, beams=2, max_tokens=4), no_deadline))


def test_images_that_transformers_gives_to_another_text_are_noticed(
    llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = ImageTextBackend(describe(llava))
    decoding = Decoding(method="sample", temperature=1.0, max_tokens=6, candidates=3)
    expected = list(backend.generate([chat(2)], decoding, no_deadline))
    # Repeat the list of images as a model without the handling of transformers does: first image, first image, ...
    monkeypatch.setattr(backend._model, "_supports_mm_encoder_outputs", lambda: False)
    rows: list[int] = []
    generate = backend._model.generate
    monkeypatch.setattr(
        backend._model, "generate", lambda **a: (rows.append(a.get("num_return_sequences", 1)), generate(**a))[1]
    )
    (replies,) = backend.generate([chat(2)], decoding, no_deadline)
    assert rows == [3, 1, 1, 1]
    assert isinstance(replies, tuple)
    assert isinstance(expected[0], tuple)
    for found, other in zip(replies, expected[0], strict=True):
        assert found.text == other.text
        assert found.probabilities == pytest.approx(other.probabilities, rel=1e-4)
    (error,) = backend.generate([chat(2)], Decoding(method="beam", beams=2, max_tokens=3), no_deadline)
    assert str(error).startswith("transformers mixes up the images of the beams of this model; decode with greedy")
    (one_image,) = backend.generate([chat(1)], Decoding(method="beam", beams=2, max_tokens=3), no_deadline)
    assert isinstance(one_image, tuple)


def test_threads_share_a_backend(backend: Backend) -> None:
    decoding = Decoding(method="sample", temperature=1.0, max_tokens=6, candidates=2)
    chats = [chat(seed=seed) for seed in range(6)]
    expected = list(backend.generate(chats, decoding, no_deadline))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda one: next(backend.generate([one], decoding, no_deadline)), chats))
    assert found == expected


def test_a_token_that_ends_within_a_character_ends_before_it(llava: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llava)
    pieces = ["No ", "é", "<|im_start|>", "d", "ö", "."]
    token_ids = [tokenizer(piece)["input_ids"] for piece in pieces]
    assert [len(ids) for ids in token_ids][1::3] == [2, 2]  # two bytes each, which the tiny vocabulary does not join
    text, ends = decode([one for ids in token_ids for one in ids], tokenizer)
    assert text == "No édö."
    lengths = [len(ids) for ids in token_ids]
    last = [sum(lengths[: n + 1]) - 1 for n in range(len(lengths))]
    assert [ends[n] for n in last] == [3, 4, 4, 5, 6, 7]
    assert ends[last[1] - 1] == 3  # first byte of é
    assert ends[last[4] - 1] == 5  # first byte of ö
    assert list(ends) == sorted(ends)
