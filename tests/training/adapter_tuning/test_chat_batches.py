"""Chats with answers: what is learned, and that padding and joining change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from report_gen_training.adapter_tuning.adapters import add_adapters, set_train_mode, trained_parameters
from report_gen_training.adapter_tuning.chat_batches import answer_loss, join_chats
from report_gen_training.optimization import checkpoint_activations
from report_gen_training.recipe import LoraSettings

from report_gen.backends import IGNORED_LABEL, AnsweredChat, ChatRequest, GenerationError, HubBackend, load_backend
from report_gen.drafting import DescribedSource, find_source
from tests.backends.chats import chat
from tests.training.adapter_tuning.tuning_runs import FAMILIES

# PaliGemma's processor converts tensors to arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

REPORT = "FINDINGS:\nThe heart is enlarged.\n\nIMPRESSION:\nCardiomegaly."

Load = Callable[[str], HubBackend]


@pytest.fixture(scope="module")
def load(described: dict[str, Path]) -> Load:
    """Load a new model of a family."""

    def loaded(family: str) -> HubBackend:
        source = find_source(described[family])
        assert isinstance(source, DescribedSource)
        backend = load_backend(source.model, device="cpu")
        assert isinstance(backend, HubBackend)
        return backend

    return loaded


def adapted(backend: HubBackend) -> HubBackend:
    """Add adapters that are not zero."""
    add_adapters(backend.model, LoraSettings(dropout=0.0), name="tiny", revision="", seed=1)
    generator = torch.Generator().manual_seed(3)
    for parameter in trained_parameters(backend.model).values():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return backend


@pytest.mark.parametrize("family", FAMILIES)
def test_the_report_and_the_end_are_learned_and_nothing_else(load: Load, family: str) -> None:
    backend = load(family)
    answered = backend.encode_answered(chat(), REPORT, 100)
    learned = [one for one in answered.labels.tolist() if one != IGNORED_LABEL]
    assert backend._tokenizer.decode(learned[:-1]) == REPORT
    assert backend._tokenizer.convert_ids_to_tokens(learned[-1]) == "<|im_end|>"
    assert answered.labels.tolist()[-len(learned) :] == learned


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prompt_is_the_one_of_a_draft(load: Load, family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of the tokens that `generate` chooses is their negative log-probability in `generate`."""
    backend = load(family)
    prompt: ChatRequest = chat()
    inputs = backend._encode(prompt)
    with torch.inference_mode():
        output = backend.model.generate(
            **inputs, max_new_tokens=6, min_new_tokens=6, return_dict_in_generate=True, output_logits=True
        )
    ids = output.sequences[0, -6:]
    expected = -sum(logits[0].log_softmax(-1)[token].item() for logits, token in zip(output.logits, ids, strict=True))
    monkeypatch.setattr(backend, "_answer_ids", lambda *_: ids)
    answered = backend.encode_answered(prompt, "", 6)
    if "input_ids" in inputs:
        length = inputs["input_ids"].shape[1]
        for name, values in answered.sequences.items():
            assert values[:length].tolist() == inputs[name][0].tolist()
    (batch,) = join_chats([answered])
    with torch.inference_mode():
        assert answer_loss(backend.model.eval(), batch).item() == pytest.approx(expected, rel=1e-4)
    add_adapters(backend.model, LoraSettings(dropout=0.0), name="tiny", revision="", seed=1)
    set_train_mode(backend.model)
    assert answer_loss(backend.model, batch).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("recomputed", [False, True])
def test_joined_chats_have_the_loss_and_the_gradients_of_single_ones(load: Load, family: str, recomputed: bool) -> None:
    backend = adapted(load(family))
    model = backend.model
    chats = [
        backend.encode_answered(chat(1, text="Report.", seed=1), REPORT, 100),
        backend.encode_answered(chat(1, text="Write a long report.", seed=2), "No edema.", 100),
    ]
    single, expected = _loss_and_gradients(model, [[one] for one in chats])
    if recomputed:
        checkpoint_activations(model)
        set_train_mode(model)  # activations are recomputed in training mode only
    joined, gradients = _loss_and_gradients(model, [chats])
    assert joined == pytest.approx(single, rel=1e-5)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-4)


def _loss_and_gradients(
    model: torch.nn.Module, groups: list[list[AnsweredChat]]
) -> tuple[float, dict[str, torch.Tensor]]:
    model.zero_grad(set_to_none=True)
    total = 0.0
    for group in groups:
        (batch,) = join_chats(group)
        loss = answer_loss(model, batch)
        torch.autograd.backward(loss)
        total += loss.item()
    gradients = {name: one.grad.clone() for name, one in trained_parameters(model).items() if one.grad is not None}
    assert len(gradients) == len(trained_parameters(model))
    return total, gradients


def test_chats_whose_images_have_other_shapes_stay_apart(load: Load) -> None:
    chats = [load("qwen2_5_vl").encode_answered(chat(), REPORT, 100) for _ in range(3)]
    other = AnsweredChat(
        sequences=chats[1].sequences,
        images={"pixel_values": chats[1].images["pixel_values"][:, :7], "image_grid_thw": torch.ones(1, 3)},
        labels=chats[1].labels,
    )
    batches = join_chats([chats[0], other, chats[2]])
    assert [len(batch.labels) for batch in batches] == [2, 1]
    assert sum(batch.tokens for batch in batches) == 3 * batches[1].tokens


def test_a_long_report_is_cut_without_an_end(load: Load) -> None:
    backend = load("llava")
    learned = backend.encode_answered(chat(), REPORT, 8).labels
    ids = [one for one in learned.tolist() if one != IGNORED_LABEL]
    assert len(ids) == 8
    assert backend._tokenizer.convert_tokens_to_ids("<|im_end|>") not in ids
    assert REPORT.startswith(backend._tokenizer.decode(ids))


def test_a_context_that_is_too_long_is_refused(load: Load) -> None:
    with pytest.raises(GenerationError, match=r"^context too long: \d+ tokens of the prompt and max_tokens = \d+ are"):
        load("llava").encode_answered(chat(), "word " * 3000, 4000)
