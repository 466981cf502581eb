"""Fine-tuning of four families of published models: training, checkpoint, loading, drafting."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from report_gen_training.adapter_tuning import session, tune
from report_gen_training.adapter_tuning.chat_batches import answer_loss, join_chats
from report_gen_training.adapter_tuning.tunable_model import TunableModel, load_tunable_model
from report_gen_training.run import Progress, Validation
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from report_gen.backends import HubBackend
from report_gen.drafting import ChatGenerator, Drafter, find_source
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.records import format_report
from tests.backends.chats import chat, no_deadline
from tests.training.adapter_tuning.tuning_runs import FAMILIES, recipe

# PaliGemma's processor converts tensors to arrays in a way that NumPy 2 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),  # used by PeftModel
]


def load(folder: Path, base: Path | None = None) -> Drafter:
    """Load a checkpoint as `report-gen draft --checkpoint` does."""
    return Drafter.load(folder, base=base, device="cpu")


def backend_of(drafter: Drafter) -> HubBackend:
    assert isinstance(drafter.generator, ChatGenerator)
    assert isinstance(drafter.generator._backend, HubBackend)
    return drafter.generator._backend


def draft(drafter: Drafter, image: Path) -> str:
    return format_report(drafter.draft(read_study(image)).describing_sections)


@pytest.mark.parametrize("family", FAMILIES)
def test_ten_steps_and_a_checkpoint_that_answers_alike(
    tmp_path: Path, described: dict[str, Path], corpus: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[TunableModel] = []
    monkeypatch.setattr(session, "load_tunable_model", lambda *a: models.append(load_tunable_model(*a)) or models[0])
    parts = ["language"] if family == "vit_gpt2" else ["language", "projector"]
    steps: list[Progress] = []
    validations: list[Validation] = []
    checkpoint = tune(
        recipe(described[family], corpus, lora={"parts": parts}, checkpoint_metric="loss"),
        tmp_path / "run",
        on_step=steps.append,
        on_validation=validations.append,
    )
    assert [one.step for one in steps] == list(range(1, 11))
    assert steps[-1].loss < steps[0].loss - 0.5
    assert [one.step for one in validations] == [0, 10]
    assert validations[1].chosen

    drafter = load(tmp_path / "run")  # the folder of the run contains the checkpoint
    backend, decoding = backend_of(drafter), Decoding(max_tokens=24)
    chats = [chat(seed=seed, text="Report.") for seed in range(3)]
    untrained = backend_of(load(described[family]))
    replies = [
        [
            reply
            for answer in one.generate(chats, decoding, no_deadline)
            if isinstance(answer, tuple)
            for reply in answer
        ]
        for one in (backend, models[0].backend, untrained)
    ]
    texts, same, others = ([reply.text for reply in each] for each in replies)
    assert texts == same
    assert len(texts) == 3
    assert not set(texts) & set(others)
    for found, expected in zip(replies[0], replies[1], strict=True):
        assert found.probabilities == pytest.approx(expected.probabilities, rel=1e-4)
    files = [checkpoint / "adapter_config.json", checkpoint / "adapter_model.safetensors"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    both = hashlib.sha256(f"{untrained.info.weights_sha256}{digest}".encode()).hexdigest()
    assert drafter.info.weights_sha256 == both

    (batch,) = join_chats([backend.encode_answered(chat(), "FINDINGS:\nThe heart is enlarged.", 40)])
    with_peft = AutoModelForImageTextToText.from_pretrained(described[family].with_suffix(""), dtype=torch.float32)
    with torch.inference_mode():
        before = answer_loss(with_peft.eval(), batch).item()
        PeftModel.from_pretrained(with_peft, checkpoint).eval()
        after = answer_loss(with_peft, batch).item()
        assert answer_loss(backend.model, batch).item() == pytest.approx(after, rel=1e-5)
        assert after < before - 1


def test_two_reports_are_written_word_for_word_from_their_images(
    tmp_path: Path, described: dict[str, Path], corpus: Path
) -> None:
    steps: list[Progress] = []
    values: dict[str, Any] = {
        "steps": 80,
        "validate_every": 80,
        "lora": {"parts": ["language", "projector"], "rank": 32, "alpha": 64, "dropout": 0.0},
        "checkpoint_activations": False,
    }
    validations: list[Validation] = []
    tune(
        recipe(described["llava"], corpus, **values),
        tmp_path / "run",
        on_step=steps.append,
        on_validation=validations.append,
    )
    losses = [one.loss for one in steps]
    assert losses[0] > 6
    assert losses[-1] < 0.25  # the frozen output layer of a width of 32 bounds the probabilities
    assert sum(losses[60:]) < sum(losses[40:60]) < sum(losses[20:40]) < sum(losses[:20])
    drafter = load(tmp_path / "run")
    assert [draft(drafter, corpus / f"{number}.png") for number in (0, 1)] == [
        "FINDINGS:\nThe heart is enlarged.\n\nIMPRESSION:\nCardiomegaly.",
        "FINDINGS:\nThe lungs are clear. No pleural effusion.\n\nIMPRESSION:\nNormal chest.",
    ]
    assert [one.draft for one in validations[-1].samples] == [one.reference for one in validations[-1].samples]
    assert validations[-1].scores["BLEU-4"] == pytest.approx(1)


@pytest.mark.parametrize("family", ["llava", "gemma3", "qwen2_5_vl"])
def test_the_projector_alone(tmp_path: Path, described: dict[str, Path], corpus: Path, family: str) -> None:
    values: dict[str, Any] = {"steps": 3, "checkpoint_metric": "loss", "lora": {"parts": ["projector"]}}
    checkpoint = tune(recipe(described[family], corpus, **values), tmp_path / "run")
    weights = load_file(checkpoint / "adapter_model.safetensors")
    assert weights
    assert all(".multi_modal_projector." in name or ".visual.merger." in name for name in weights)
    loaded = dict(backend_of(load(checkpoint)).model.named_parameters())
    for name, tensor in weights.items():
        part, _, rest = name.removeprefix("base_model.model.").partition(
            ".merger." if family == "qwen2_5_vl" else ".multi_modal_projector."
        )
        module = f"{part}.{'merger' if family == 'qwen2_5_vl' else 'multi_modal_projector'}.modules_to_save.default"
        assert torch.equal(loaded[f"{module}.{rest}"], tensor)


def test_an_adapter_that_changes_nothing_is_named(
    tmp_path: Path, described: dict[str, Path], corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values: dict[str, Any] = {"steps": 2, "validate_every": 2, "checkpoint_metric": "loss", "learning_rate": 1.0}
    session.tune_watched(recipe(described["llava"], corpus, **values), tmp_path / "run")
    assert "notice: no validation was better than that of the model as it was, so that the" in capsys.readouterr().err
    untrained, tuned = (
        backend_of(load(folder)).generate([chat()], Decoding(max_tokens=8), no_deadline)
        for folder in (described["llava"], tmp_path / "run")
    )
    assert next(untrained) == next(tuned)


def test_a_model_of_bfloat16_is_trained_with_weights_of_float32(
    tmp_path: Path, described: dict[str, Path], corpus: Path
) -> None:
    steps: list[Progress] = []
    tuned = recipe(
        described["gemma3"],
        corpus,
        dtype="bfloat16",
        lora={"parts": ["language", "projector"]},
        validation_drafts=1,
        text={"max_report_tokens": 16},
    )
    checkpoint = tune(tuned, tmp_path / "run", on_step=steps.append)
    assert steps[-1].loss < steps[0].loss - 0.5
    assert {tensor.dtype for tensor in load_file(checkpoint / "adapter_model.safetensors").values()} == {torch.float32}
    half = Drafter.load(checkpoint, device="cpu", dtype="bfloat16")
    assert half.info.dtype == "bfloat16"
    assert isinstance(next(backend_of(half).generate([chat()], Decoding(max_tokens=4), no_deadline)), tuple)


def test_what_the_checkpoint_says(tmp_path: Path, described: dict[str, Path], corpus: Path) -> None:
    tuned = recipe(described["llava"], corpus, steps=1, text={"max_report_tokens": 8}, card="Made for a test.")
    checkpoint = tune(tuned, tmp_path / "run")
    source = find_source(tmp_path / "run")
    card = source.model_card()
    assert "Made for a test." in card
    assert "| drawn | 2 | 2 |" in card
    assert "was not validated clinically" in card
    training = json.loads((checkpoint / "training.json").read_text())
    for name, sha256 in training["files"].items():
        assert hashlib.sha256((checkpoint / name).read_bytes()).hexdigest() == sha256
    assert (
        training["base"]["sha256"]
        == hashlib.sha256((described["llava"].with_suffix("") / "model.safetensors").read_bytes()).hexdigest()
    )
    assert json.loads((checkpoint / "adapter_config.json").read_text())["base_model_name_or_path"] == str(
        described["llava"].with_suffix("")
    )
    digest = source.digest()
    assert find_source(checkpoint).digest() == digest
    other = tune(tuned.model_copy(update={"seed": 3}), tmp_path / "other")
    assert find_source(other).digest() != digest
