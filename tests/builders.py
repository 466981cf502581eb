"""Tiny models, vocabularies, studies and corpora for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from report_gen_training.data.arrow_rows import Rows
from report_gen_training.data.example_store import ExampleStore, write_examples
from report_gen_training.data.examples import TrainingExample
from report_gen_training.data.vocabulary import PatientText, learn_vocabulary
from report_gen_training.recipe.schema import Recipe
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from report_gen.config import ModelConfig
from report_gen.imaging import read_study
from report_gen.labeling import chest_xray
from report_gen.model import Checkpoint, ReportModel, save_checkpoint
from report_gen.prompting import Prompt
from report_gen.records import Study
from report_gen.tokenizer import ReportTokenizer

FINDINGS = chest_xray().findings

SIZE = 32
"""Side length of the input of the tiny encoders, pixels."""

REPORTS = (
    "FINDINGS: The heart is normal in size. The lungs are clear. No pleural effusion. IMPRESSION: No acute disease.",
    "FINDINGS: The heart is enlarged. Small left pleural effusion. IMPRESSION: Cardiomegaly and effusion.",
    "FINDINGS: There is a right pneumothorax. No rib fracture. IMPRESSION: Pneumothorax.",
    "FINDINGS: Patchy opacity in the lower lobe. Mild pulmonary edema. IMPRESSION: Pneumonia is possible.",
)

PROMPT = Prompt("Chest.\n{views}\n{indication}")

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 128,
}
GPT2: dict[str, Any] = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 128}
"""Configurations of tiny language models of transformers."""

THRESHOLDS = tuple(None if name == "No Finding" else 0.5 for name in FINDINGS)


def patient_texts(texts: Iterable[str]) -> list[PatientText]:
    """Return the texts as those of one patient each."""
    return [PatientText(text, f"patient-{number}") for number, text in enumerate(texts)]


@cache
def tokenizer() -> ReportTokenizer:
    """Return a tokenizer trained on `REPORTS`."""
    return learn_vocabulary(patient_texts([*REPORTS, "Cough and fever. Chest. PA and lateral frontal AP"]), size=220)


def tiny_config(*, encoder: str = "test_vit", image_size: int = SIZE, **changes: Any) -> ModelConfig:
    """Return the configuration of a model that drafts within milliseconds. `changes` are keys of `ModelConfig`."""
    arguments = {"img_size": image_size} if "vit" in encoder else {}
    values: dict[str, Any] = {
        "name": "tiny",
        "vocabulary_size": tokenizer().vocabulary_size,
        "encoder": {"name": encoder, "image_size": image_size, "channels": 1, "arguments": arguments},
        "finding_schema": chest_xray(),
        "projector": {"patch_tokens": 2, "hidden": 16, "dropout": 0.1, "numbers": 4},
        "decoder": {"width": 32, "layers": 2, "heads": 2, "positions": 128},
    }
    return ModelConfig.model_validate(values | changes)


CT_CHANNELS: dict[str, Any] = {
    "encoder": {
        "name": "test_vit",
        "image_size": SIZE,
        "channels": 3,
        "arguments": {"img_size": SIZE},
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    },
    "volumes": {"views": 4, "sampling": "even", "windows": ["lung", "mediastinum", "bone"]},
    "scope": {"modalities": ["CT"]},
}
"""Changes that make a model one of three windows of CT, normalized like ImageNet."""


def three_window_config() -> ModelConfig:
    """Return the configuration of a tiny model that gets three windows of CT."""
    return ModelConfig.model_validate(tiny_config().model_dump() | CT_CHANNELS)


VOLUME_MODEL: dict[str, Any] = {
    "encoder": {"name": "tiny_i3resnet", "image_size": 64, "channels": 32, "mean": 0, "std": 1},
    "volumes": {},
    "scope": {"modalities": ["CT"]},
}
"""Changes that make a model one of whole volumes of CT."""


def volume_config(**changes: Any) -> ModelConfig:
    """Return the configuration of a tiny model that gets whole volumes of CT."""
    return ModelConfig.model_validate(tiny_config().model_dump() | VOLUME_MODEL | changes)


def tiny_model(config: ModelConfig | None = None, *, seed: int = 0) -> ReportModel:
    """Return a model in evaluation mode with large weights, because weights near zero would hide errors."""
    torch.manual_seed(seed)
    model = ReportModel(tiny_config() if config is None else config, encode=tokenizer().encode).eval()
    with torch.no_grad():
        for parameter in model.projector.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for parameter in model.decoder.parameters():
            parameter.mul_(5 if parameter.ndim > 1 else 1)
        for parameter in model.sequence.parameters() if model.sequence is not None else ():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def tiny_checkpoint(config: ModelConfig | None = None, *, seed: int = 0) -> Checkpoint:
    """Return a checkpoint in memory."""
    return Checkpoint(tiny_model(config, seed=seed), tokenizer(), PROMPT, "0" * 64)


def fix_next_token(model: ReportModel, monkeypatch: pytest.MonkeyPatch, logits: Mapping[int, float]) -> None:
    """Replace the logits of the decoder: at every position these tokens have these logits, all others -30."""
    fixed = torch.full((model.config.vocabulary_size,), -30.0)
    for token, logit in logits.items():
        fixed[token] = logit

    def replaced(hidden: torch.Tensor) -> torch.Tensor:
        return fixed.expand(*hidden.shape[:-1], -1).clone()

    replace_output(model, monkeypatch, replaced)


def replace_output(
    model: ReportModel, monkeypatch: pytest.MonkeyPatch, forward: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    """Let a function compute the logits of the decoder from the hidden states."""
    output = model.decoder.language_model.get_output_embeddings()
    changed = type("ChangedOutput", (type(output),), {"forward": staticmethod(forward)})
    monkeypatch.setattr(output, "__class__", changed)


def write_checkpoint(folder: Path, *, model: ReportModel | None = None, **changes: Any) -> Path:
    """Write a checkpoint folder. `changes` are arguments of `save_checkpoint`."""
    model = tiny_model(tiny_config(findings={"present": THRESHOLDS})) if model is None else model
    values: dict[str, Any] = {
        "model": model,
        "config": model.config,
        "tokenizer": tokenizer(),
        "prompt": PROMPT,
        "training": {"steps": 0},
        "card": "# tiny\n",
    }
    save_checkpoint(folder, **values | changes)
    return folder


def write_language_model(folder: Path, transformer: dict[str, Any], *, vocabulary_size: int = 77) -> PreTrainedModel:
    """Write a pretrained model in the format of transformers, with another vocabulary."""
    torch.manual_seed(5)
    config = AutoConfig.for_model(**transformer, vocab_size=vocabulary_size, bos_token_id=1, eos_token_id=1)
    model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    return model


def noise_image(seed: int = 0, size: int = SIZE) -> NDArray[np.uint8]:
    """Return an image [size,size] of noise."""
    return np.random.default_rng(seed).integers(0, 256, (size, size)).astype(np.uint8)


def corner_image(place: int, size: int = SIZE) -> NDArray[np.uint8]:
    """Return a dark image [size,size] with a bright square in one of four corners."""
    pixels = np.full((size, size), 20, dtype=np.uint8)
    row, column = divmod(place, 2)
    half = size // 2
    pixels[row * half :, column * half :][:half, :half] = 230
    return pixels


def write_png(path: Path, pixels: NDArray[np.uint8]) -> Path:
    """Write an image [H,W] and its folder. Return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(path)
    return path


def study(folder: Path, seed: int = 0) -> Study:
    """Return a study of one image of noise."""
    return read_study(write_png(folder / f"study-{seed}.png", noise_image(seed)))


def store(*examples: TrainingExample) -> ExampleStore:
    """Return training examples, memory-mapped from a file that is deleted already."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "examples.arrow"
        write_examples(path, examples, findings=len(examples[0].states) if examples else len(FINDINGS))
        return ExampleStore(Rows(path))


def write_manifest(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write a corpus in the manifest layout. Return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def tiny_recipe(data: Path, *, stage: Mapping[str, Any] | None = None, **changes: Any) -> Recipe:
    """A recipe for the corpus in `data`/images; `stage` changes its one stage, `changes` any other key."""
    one_stage = {
        "name": "all",
        "corpora": ["images"],
        "steps": 6,
        "batch_size": 4,
        "validate_every": 2,
        "validation_drafts": 4,
        "augment": False,
        "rates": {"encoder": 1e-3, "projector": 1e-3, "decoder": 3e-3},
    }
    values: dict[str, Any] = {
        "name": "tiny",
        "data": str(data),
        "precision": "fp32",
        "text": {
            "vocabulary_size": 200,
            "min_word_patients": 1,
            "max_report_tokens": 60,
            "sections": ["FINDINGS", "IMPRESSION"],
        },
        "corpora": [{"name": "images", "path": "images"}],
        "model": {
            "encoder": {"name": "test_vit", "image_size": SIZE, "channels": 1, "arguments": {"img_size": SIZE}},
            "projector": {"patch_tokens": 2, "hidden": 16, "dropout": 0.0},
            "decoder": {"width": 32, "layers": 2, "heads": 2, "positions": 160, "dropout": 0.0},
        },
        "stages": [one_stage | dict(stage or {})],
    }
    return Recipe.model_validate(values | changes)


CORNERS = (
    ("The heart is enlarged.", "Cardiomegaly."),
    ("There is a small pleural effusion.", "Pleural effusion."),
    ("The lungs are clear. The heart is normal in size.", "No acute disease."),
    ("There is a rib fracture. The lungs are clear.", "Fracture."),
)
"""Findings and impression of an image with a bright square in each of the four corners."""


def write_corner_corpus(data: Path, *, copies: int = 1) -> Path:
    """Write a corpus in which the bright corner determines the report. Every split has `copies` of each corner."""
    rows = []
    for split in ("train", "val", "test"):
        for number in range(4 * copies):
            place = number % 4
            name = f"{split}-{number}"
            write_png(data / "images" / f"{name}.png", corner_image(place))
            findings, impression = CORNERS[place]
            rows.append(
                {
                    "study_id": name,
                    "images": [f"{name}.png"],
                    "findings": findings,
                    "impression": impression,
                    "indication": "Cough.",
                    "split": split,
                }
            )
    write_manifest(data / "images", rows)
    return data
