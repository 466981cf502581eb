"""Corpora and recipes for tests of the fine-tuning of published models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from report_gen_training.recipe import TuningRecipe

from tests.backends.tiny_models import (
    write_gemma3,
    write_llava,
    write_paligemma,
    write_qwen2_5_vl,
    write_vit_gpt2,
)

FAMILIES: Mapping[str, Callable[[Path], Path]] = {
    "llava": write_llava,
    "gemma3": write_gemma3,
    "paligemma": write_paligemma,
    "qwen2_5_vl": write_qwen2_5_vl,
    "vit_gpt2": partial(write_vit_gpt2, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0),
}
REPORTS = (
    ("The heart is enlarged.", "Cardiomegaly."),
    ("The lungs are clear. No pleural effusion.", "Normal chest."),
)


def write_corpus(folder: Path, studies: int = 2, *, reports: bool = True) -> Path:
    """Write training studies whose images differ, and as many validation studies with the same images and reports."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(studies):
        pixels = np.full((56, 56), 40, np.uint8)
        pixels[:, 28 * (number % 2) : 28 * (number % 2) + 28] = 220  # the right or the left half is bright
        pixels[8 * (number // 2) :][:8] //= 2
        Image.fromarray(pixels).save(folder / f"{number}.png")
        findings, impression = REPORTS[number % 2] if reports else ("", "")
        row: dict[str, Any] = {"images": [f"{number}.png"], "findings": findings, "impression": impression}
        if not reports:
            row["Cardiomegaly"] = number % 2
        rows += [
            {**row, "study_id": f"{split}-{number}", "patient_id": f"{split}-{number}", "split": split}
            for split in ("train", "val")
        ]
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return folder


def describe(model: Path) -> Path:
    """Write a description with a short prompt beside the folder of a model."""
    backend = "encoder-decoder" if model.name.startswith("vit_gpt2") else "image-text"
    (model.parent / "short.toml").write_text("user = 'Report.'", encoding="utf-8")
    path = model.parent / f"{model.name}.toml"
    path.write_text(
        f'name = "tiny"\nbackend = "{backend}"\nmodel = "{model.name}"\nprompt = "short.toml"\n', encoding="utf-8"
    )
    return path


def recipe(model: Path, corpus: Path, **values: Any) -> TuningRecipe:
    """Return a recipe of ten steps for a described model."""
    defaults: dict[str, Any] = {
        "name": "tuned",
        "model": str(model),
        "corpora": [{"name": "drawn", "path": str(corpus)}],
        "steps": 10,
        "batch_size": 2,
        "accumulate": 1,
        "learning_rate": 1e-2,
        "validate_every": 10,
        "text": {"max_report_tokens": 48},
        "tensorboard": False,
    }
    return TuningRecipe.model_validate(defaults | values)
