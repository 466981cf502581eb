"""Tests of the backend for VisionEncoderDecoderModel, with a tiny random ViT-GPT2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, VisionEncoderDecoderModel

from report_gen.backends import EncoderDecoderBackend, GenerationError
from report_gen.errors import CheckpointError
from report_gen.generation import Decoding
from tests.backends.chats import chat, describe, no_deadline
from tests.backends.tiny_models import write_vit_gpt2

pytestmark = pytest.mark.usefixtures("offline")


def load(folder: Path) -> EncoderDecoderBackend:
    return EncoderDecoderBackend(describe(folder, backend="encoder-decoder"))


@pytest.mark.parametrize(("method", "beams"), [("greedy", 1), ("beam", 3)])
def test_tokens_and_probabilities_are_those_of_transformers(vit_gpt2: Path, method: Any, beams: int) -> None:
    request = chat(1)
    (replies,) = load(vit_gpt2).generate([request], Decoding(method=method, beams=beams, max_tokens=10), no_deadline)
    assert not isinstance(replies, GenerationError)
    model = VisionEncoderDecoderModel.from_pretrained(vit_gpt2).eval()
    processor, tokenizer = AutoImageProcessor.from_pretrained(vit_gpt2), AutoTokenizer.from_pretrained(vit_gpt2)
    pixel_values = processor(Image.fromarray(request.messages[0].images[0]), return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        token_ids = model.generate(pixel_values, max_new_tokens=10, num_beams=beams, do_sample=False)
        logits = model(pixel_values=pixel_values, decoder_input_ids=token_ids[:, :-1]).logits[0]
    new = token_ids[0, 1:]  # after the start token
    by_hand = torch.exp(logits)[range(len(new)), new] / torch.exp(logits).sum(-1)
    assert replies[0].text == tokenizer.decode(new, skip_special_tokens=True)
    assert replies[0].probabilities == pytest.approx(by_hand.tolist(), rel=1e-4)
    assert len(set(replies[0].probabilities)) == 10


def test_samples_are_reproducible_and_the_image_matters(vit_gpt2: Path) -> None:
    backend = load(vit_gpt2)
    decoding = Decoding(method="sample", temperature=1.0, top_p=1.0, max_tokens=8, candidates=2)
    first, second = backend.generate([chat(seed=1), chat(seed=2)], decoding, no_deadline)
    (again,) = backend.generate([chat(seed=2)], decoding, no_deadline)
    assert second == again
    assert first != second
    greedy = Decoding(method="greedy", max_tokens=1)
    one, other = backend.generate([chat(seed=1), chat(seed=2)], greedy, no_deadline)
    assert not isinstance(one, GenerationError)
    assert not isinstance(other, GenerationError)
    assert one[0].probabilities != pytest.approx(other[0].probabilities, rel=1e-3)


@pytest.mark.parametrize("images", [0, 2])
def test_another_number_of_images_than_one_is_an_error_of_that_chat(vit_gpt2: Path, images: int) -> None:
    answers = list(load(vit_gpt2).generate([chat(images), chat(1)], Decoding(max_tokens=2), no_deadline))
    assert isinstance(answers[0], GenerationError)
    assert str(answers[0]).startswith(f"{images} images, but the model takes one; set images.max_images = 1")
    assert isinstance(answers[1], tuple)


def test_more_tokens_than_positions_are_refused(tmp_path: Path) -> None:
    backend = load(write_vit_gpt2(tmp_path / "vit_gpt2", n_positions=16))
    fitting, too_long = (
        next(backend.generate([chat(1)], Decoding(method="greedy", max_tokens=tokens), no_deadline))
        for tokens in (15, 16)
    )
    assert isinstance(fitting, tuple)
    assert str(too_long).startswith("context too long: 1 tokens of the prompt and max_tokens = 16 are more than the 16")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["preprocessor_config.json"], "no image processor (preprocessor_config.json) can be loaded"),
        (["tokenizer.json", "tokenizer_config.json"], "no tokenizer (tokenizer.json) can be loaded"),
    ],
)
def test_a_folder_without_processor_or_tokenizer_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    folder = write_vit_gpt2(tmp_path / "vit_gpt2")
    for name in names:
        (folder / name).unlink()
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert str(caught.value) == f"vit_gpt2: {message}; add its files to the folder of the model"
