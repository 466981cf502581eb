"""The GPT-2 for inference against that of transformers: names, logits, gradients, texts and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from report_gen.generation import Decoding, generate_tokens, study_generator
from report_gen.model import ReportModel, load_checkpoint
from report_gen.model.gpt2 import Gpt2Config, Gpt2LanguageModel
from report_gen.model.initialization import WithoutInitialization
from report_gen.model.language_model import build_gpt2
from report_gen.model.report_model import ReportModelOutput
from tests.builders import GPT2, SIZE, tiny_config, tiny_model, tokenizer, write_checkpoint

CONDITIONINGS = ("prefix", "cross_attention", "numbers")
B, T, K, WIDTH = 3, 9, 4, 32


def pair(*, cross_attention: bool = False) -> tuple[Gpt2LanguageModel, GPT2LMHeadModel]:
    """Return our model with the weights of one of transformers, which are large, because small ones hide errors."""
    torch.manual_seed(0)
    sizes = {"width": WIDTH, "layers": 2, "heads": 4, "positions": 64}
    theirs = build_gpt2(vocabulary_size=77, dropout=0.1, cross_attention=cross_attention, **sizes).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    ours = Gpt2LanguageModel(
        Gpt2Config(
            vocab_size=77,
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=64,
            add_cross_attention=cross_attention,
        )
    )
    ours.load_state_dict(theirs.state_dict())  # strictly: the names are the same
    return ours, theirs


def arguments(*, cross_attention: bool = False, padded: bool = False) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    given = {"input_ids": torch.randint(0, 77, (B, T), generator=generator), "attention_mask": torch.ones(B, T).long()}
    if padded:
        given["attention_mask"][1, :3] = given["attention_mask"][2, 7:] = 0
        given["position_ids"] = (given["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    if cross_attention:
        given["encoder_hidden_states"] = torch.randn(B, K, WIDTH, generator=generator)
        given["encoder_attention_mask"] = torch.ones(B, K, dtype=torch.bool)
        given["encoder_attention_mask"][0, 1] = False
    return given


@pytest.mark.parametrize("cross_attention", [False, True])
def test_parameters_have_the_names_and_the_shapes_of_transformers(cross_attention: bool) -> None:
    ours, theirs = pair(cross_attention=cross_attention)
    assert [(name, p.shape) for name, p in ours.named_parameters()] == [
        (name, p.shape) for name, p in theirs.named_parameters()
    ]
    assert ours.lm_head.weight is ours.transformer.wte.weight
    assert ours.config.max_position_embeddings == theirs.config.max_position_embeddings
    assert ours.config.model_type == theirs.config.model_type


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("cross_attention", [False, True])
@torch.inference_mode()
def test_logits_are_those_of_transformers(cross_attention: bool, padded: bool) -> None:
    ours, theirs = pair(cross_attention=cross_attention)
    given = arguments(cross_attention=cross_attention, padded=padded)
    real = given["attention_mask"].bool()
    for changes in ({}, {"input_ids": None, "inputs_embeds": torch.randn(B, T, WIDTH)}):
        logits, expected = (model(**given | changes).logits for model in (ours, theirs))
        assert expected.std() > 1
        torch.testing.assert_close(logits[real], expected[real], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours(**given, logits_to_keep=2).logits, ours(**given).logits[:, -2:])


def test_gradients_are_those_of_transformers() -> None:
    ours, theirs = pair(cross_attention=True)
    given = arguments(cross_attention=True)
    for model in (ours, theirs):
        model(**given).logits.logsumexp(-1).sum().backward()
    for (name, parameter), expected in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, atol=1e-3, rtol=1e-3, msg=name)


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(4, tokenizer().vocabulary_size, (2, 8), generator=generator)
    return {
        "pixel_values": torch.randn(2, 1, 1, SIZE, SIZE, generator=generator),
        "view_positions": torch.zeros(2, 1, dtype=torch.long),
        "view_mask": torch.ones(2, 1, dtype=torch.bool),
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "finding_states": torch.tensor([[0, 1, 3] * 5 + [3, 3], [3, 0, 1] * 5 + [1, 0]]),
    }


def draft(model: ReportModel, decoding: Decoding) -> list[tuple[int, ...]]:
    given = batch()
    visual = model.encode_images(given["pixel_values"], given["view_positions"], given["view_mask"])
    tokens, mask = model.visual_tokens(given["finding_states"], visual)
    generated = generate_tokens(
        model,
        visual_tokens=tokens,
        visual_mask=mask,
        prompt_ids=[[7, 8], [9]],
        decoding=decoding,
        generators=[study_generator(0, study) for study in range(2)] if decoding.method == "sample" else (),
    )
    return [text.token_ids for text in generated]


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_a_loaded_checkpoint_drafts_as_with_transformers(tmp_path: Path, conditioning: str) -> None:
    decoder = {"width": 32, "layers": 2, "heads": 2, "positions": 192}
    folder = write_checkpoint(
        tmp_path / "tiny", model=tiny_model(tiny_config(conditioning=conditioning, decoder=decoder))
    )
    ours, theirs = load_checkpoint(folder).model, load_checkpoint(folder, with_transformers=True).model
    assert type(ours.decoder.language_model) is Gpt2LanguageModel
    assert type(theirs.decoder.language_model) is GPT2LMHeadModel
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    with torch.inference_mode():
        output, expected = ours(**batch()), theirs(**batch())
    assert isinstance(expected, ReportModelOutput)
    torch.testing.assert_close(output.logits, expected.logits, atol=1e-4, rtol=1e-4)
    for decoding in (
        Decoding(max_tokens=16),
        Decoding(method="beam", beams=3, max_tokens=16),
        Decoding(method="sample", max_tokens=16),
    ):
        assert draft(ours, decoding) == draft(theirs, decoding)


def test_a_decoder_that_a_transformers_configuration_describes_is_one_of_transformers(tmp_path: Path) -> None:
    """The configuration may have settings that our model lacks."""
    model = tiny_model(tiny_config(decoder={"transformer": GPT2 | {"scale_attn_by_inverse_layer_idx": True}}))
    loaded = load_checkpoint(write_checkpoint(tmp_path / "tiny", model=model)).model
    assert type(loaded.decoder.language_model) is GPT2LMHeadModel


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny", model=tiny_model(tiny_config(encoder="test_resnet")))
    before = torch.random.get_rng_state()
    load_checkpoint(folder)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_buffers_are_computed_without_initialization() -> None:
    changes: dict[str, Any] = {"locations": {"trained": [True] * 17}}
    with WithoutInitialization():
        model = ReportModel(tiny_config(encoder="test_resnet", **changes), for_inference=True)
    initialized = ReportModel(tiny_config(encoder="test_resnet", **changes))
    expected = dict(initialized.named_buffers())
    assert any("regions" in name for name in expected)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, expected[name]), name
