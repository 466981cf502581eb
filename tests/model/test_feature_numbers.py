"""Features as numbers: pooling, spelling, what the decoder gets, and that no gradient passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from report_gen_training.data.vocabulary import learn_vocabulary
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from report_gen.config import ModelConfig
from report_gen.errors import CheckpointError
from report_gen.model import ReportModel
from report_gen.model.feature_numbers import FeatureNumbers, example_lines, write_line
from report_gen.tokenizer import convert
from tests.builders import PROMPT, SIZE, patient_texts, tiny_config, tiny_model, tokenizer
from tests.pretrained_models import source_of

NUMBERS = 4


def numbers_config() -> ModelConfig:
    return tiny_config(conditioning="numbers")


def numbers(channels: int = 8, count: int = NUMBERS, decimals: int = 2) -> FeatureNumbers:
    return FeatureNumbers(channels=channels, numbers=count, decimals=decimals, encode=tokenizer().encode)


def test_numbers_are_means_of_neighboring_channels_over_patches_and_views() -> None:
    features = torch.tensor([[[[1.0, 3, 0, 0], [3, 5, 0, 0]], [[0, 0, 6, 2], [0, 0, 2, 2]]]])  # [1,V=2,N=2,D_img=4]
    both = torch.tensor([[True, True]])
    # The channels are 1, 2, 2, 1 over both views, 2, 4, 0, 0 in the first: scaled, 3 and 0 become 1 and -1.
    torch.testing.assert_close(numbers(4, 4).pool(features, both), torch.tensor([[-1.0, 1, 1, -1]]), atol=1e-4, rtol=0)
    assert numbers(4, 2).pool(features, both).tolist() == [[0.0, 0.0]]
    first = numbers(4, 2).pool(features, torch.tensor([[True, False]]))
    torch.testing.assert_close(first, torch.tensor([[1.0, -1.0]]), atol=1e-4, rtol=0)


def test_missing_views_and_the_scale_of_an_encoder_make_no_difference() -> None:
    features = torch.randn(1, 2, 3, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[True, False]])
    torch.testing.assert_close(numbers().pool(features, mask), numbers().pool(features[:, :1], mask[:, :1]))
    torch.testing.assert_close(
        numbers().pool(features, mask), numbers().pool(50 * features + 7, mask), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(
    ("numbers", "decimals", "line"),
    [
        ([0.125, -0.421, 1.0], 2, "0.12, -0.42, 1.00"),
        ([-0.001, 0.0], 2, "0.00, 0.00"),
        ([-1.26, 3.0], 1, "-1.3, 3.0"),
        ([-1.26, 2.6], 0, "-1, 3"),
    ],
)
def test_a_line_of_numbers(numbers: list[float], decimals: int, line: str) -> None:
    assert write_line(numbers, decimals) == f"The features of the image are: {line}."


def test_token_ids_spell_the_lines() -> None:
    features, mask = torch.randn(3, 1, 2, 8), torch.ones(3, 1, dtype=torch.bool)
    ids, mask_of_ids = numbers()(features, mask)
    lines = [write_line(row, 2) for row in numbers().pool(features, mask).tolist()]
    assert [tokenizer().decode(row[present].tolist()) for row, present in zip(ids, mask_of_ids, strict=True)] == lines
    assert mask_of_ids.sum(1).max() == ids.shape[1]


def test_no_line_is_longer_than_the_longest() -> None:
    random, longest = np.random.default_rng(0), numbers(64, 16).longest
    lengths = [len(tokenizer().encode(write_line(row, 2))) for row in random.uniform(-9.99, 9.99, (200, 16)).tolist()]
    assert max(lengths) <= longest
    assert longest == len(tokenizer().encode(write_line([-9.99] * 16, 2)))


@pytest.mark.parametrize("decimals", [0, 1, 2, 4])
def test_no_line_is_longer_than_the_longest_where_tokens_have_several_digits(decimals: int) -> None:
    """A byte-level vocabulary of numbers has tokens such as `00` and `9.8`, and numbers of three to six tokens."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, special_tokens=["</s>"])
    words.train_from_iterator([line for seed in range(3) for line in example_lines(8 + seed, 2)], trainer)
    encode = convert(source_of(words, (None, None, None, "</s>"))).encode
    longest = FeatureNumbers(channels=64, numbers=16, decimals=decimals, encode=encode).longest
    random = np.random.default_rng(0).uniform(-9.99, 9.99, (200, 16)).tolist()
    lengths = [len(encode(write_line(row, decimals))) for row in (*random, [-9.99] * 16, [-8.17] * 16)]
    assert max(lengths) <= longest
    assert len(set(lengths)) > 1
    alone = [[number / 100] * 16 for number in range(-999, 1000)]
    assert decimals > 2 or longest == max(len(encode(write_line(row, decimals))) for row in alone)


def test_a_vocabulary_learns_the_line_with_its_texts() -> None:
    text = ["CT of the chest with contrast."] * 3
    plain = learn_vocabulary(patient_texts(text), size=220)
    trained = learn_vocabulary(patient_texts(text), size=220, extra=example_lines(8, 2))
    line = write_line([-0.42] * 8, 2)
    assert plain.decode(plain.encode(line)) == trained.decode(trained.encode(line)) == line
    assert len(trained.encode(line)) < len(plain.encode(line))


@torch.inference_mode()
def test_the_decoder_gets_the_numbers_as_if_the_prompt_began_with_them() -> None:
    model = tiny_model(numbers_config())
    pixels, views, mask = torch.randn(1, 1, 1, SIZE, SIZE), torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1).bool()
    visual = model.encode_images(pixels, views, mask)
    tokens, token_mask = model.visual_tokens(torch.full((1, model.projector.finding_bias.shape[0]), 3), visual)
    features = model.encoder(pixels[:, 0]).unflatten(0, (1, 1))
    line = write_line(numbers(model.encoder.width).pool(features, mask)[0].tolist(), 2)
    prompt = tokenizer().encode(PROMPT.text)
    pasted = tokenizer().encode(f"{line} {PROMPT.text}")
    assert pasted == tokenizer().encode(line) + prompt
    ids = torch.tensor([prompt])
    found = model.decoder(tokens, token_mask, ids, torch.ones_like(ids))
    expected = model.decoder.language_model(torch.tensor([pasted])).logits[:, -len(prompt) :]
    torch.testing.assert_close(found, expected)


def test_no_gradient_reaches_the_encoder_or_the_projector_through_the_text() -> None:
    model = tiny_model(numbers_config()).train()
    output = model(
        pixel_values=torch.randn(2, 1, 1, SIZE, SIZE),
        view_positions=torch.zeros(2, 1, dtype=torch.long),
        view_mask=torch.ones(2, 1, dtype=torch.bool),
        input_ids=torch.full((2, 5), 9),
        attention_mask=torch.ones(2, 5, dtype=torch.long),
        finding_states=torch.full((2, model.projector.finding_bias.shape[0]), 3),
    )
    output.logits.sum().backward()
    image_parameters = [*model.encoder.parameters(), *model.projector.parameters()]
    assert all(parameter.grad is None for parameter in image_parameters)
    assert all(parameter.grad is not None for parameter in model.decoder.parameters())
    output.finding_logits.sum().backward()
    assert any(parameter.grad is not None for parameter in model.encoder.parameters())


def test_numbers_need_no_weights_of_their_own() -> None:
    names = set(tiny_model(numbers_config()).state_dict())
    assert names < set(tiny_model().state_dict())


def test_more_numbers_than_channels_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"has \d+ channels, too few for 4000 numbers; lower projector.numbers"):
        ReportModel(tiny_config(conditioning="numbers", projector={"numbers": 4000}))


def test_numbers_need_the_tokenizer() -> None:
    model = ReportModel(numbers_config())
    with pytest.raises(CheckpointError, match="conditioning 'numbers' needs a tokenizer"):
        model.encode_images(
            torch.zeros(1, 1, 1, SIZE, SIZE), torch.zeros(1, 1, dtype=torch.long), torch.ones(1, 1).bool()
        )
