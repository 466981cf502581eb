"""The backend for endpoints against a running server of llama.cpp; REPORT_GEN_LLAMA is its URL up to /v1."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from report_gen.backends import ChatMessage, ChatRequest, EndpointBackend, GenerationError, Reply, load_description
from report_gen.generation import Decoding

URL = os.environ.get("REPORT_GEN_LLAMA", "")
pytestmark = pytest.mark.skipif(not URL, reason="no server of llama.cpp: set REPORT_GEN_LLAMA")


@pytest.fixture
def backend(tmp_path: Path) -> EndpointBackend:
    path = tmp_path / "llama.toml"
    path.write_text(f'name = "llama.cpp"\nbackend = "endpoint"\nmodel = "any"\nurl = "{URL}"\nconcurrency = 2\n')
    return EndpointBackend(load_description(path))


def chat(text: str, *, with_image: bool = False) -> ChatRequest:
    images = (np.zeros((32, 32, 3), dtype=np.uint8),) if with_image else ()
    return ChatRequest(messages=(ChatMessage(role="user", text=text, images=images),), seed=2**63 - 1)


def test_texts_have_the_probabilities_of_their_tokens_and_can_be_repeated(backend: EndpointBackend) -> None:
    decoding = Decoding(candidates=3, temperature=1, max_tokens=200)
    chats = [chat("Name the two lungs in one short sentence."), chat("Write the number 2 as a word.")]
    first, second = (list(backend.generate(chats, decoding, lambda: None)) for _ in range(2))
    for replies, repeated in zip(first, second, strict=True):
        assert isinstance(replies, tuple)
        assert isinstance(repeated, tuple)
        assert [one.text for one in replies] == [one.text for one in repeated]
        assert len({one.text for one in replies}) > 1
        for reply in replies:
            assert reply.ended
            assert reply.token_ends[-1] == len(reply.text)
            assert len(reply.probabilities) == len(reply.token_ends) > 1
            assert all(0 < probability <= 1 for probability in reply.probabilities)


def test_a_text_is_cut_at_the_limit_of_tokens(backend: EndpointBackend) -> None:
    ((reply,),) = backend.generate([chat("Count from 1 to 100.")], Decoding(max_tokens=8), lambda: None)
    assert isinstance(reply, Reply)
    assert (reply.ended, len(reply.token_ends)) == (False, 8)


def test_a_model_without_images_refuses_a_chat_with_one(backend: EndpointBackend) -> None:
    """SmolLM2 reads texts only; the other chat is answered."""
    chats = [chat("Say yes."), chat("Describe the image.", with_image=True)]
    answered, refused = backend.generate(chats, Decoding(max_tokens=8), lambda: None)
    assert isinstance(answered, tuple)
    assert isinstance(refused, GenerationError)
    assert "image input is not supported" in str(refused)
    assert str(refused).endswith(
        "check whether the model reads images, and reduce images.max_images if there are too many"
    )
