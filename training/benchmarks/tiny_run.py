"""A corpus and a recipe for a run of a few seconds.

The run uses everything that a resumed run could lose: two stages, dropout, augmentation, several batches per step, EMA,
and drafts at every validation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from ..recipe import Recipe

_SIZE = 32
_REPORTS = (
    ("The heart is enlarged. The lungs are clear.", "Cardiomegaly."),
    ("There is a small pleural effusion.", "Pleural effusion."),
    ("The lungs are clear. The heart is normal in size.", "No acute disease."),
    ("There is a rib fracture. The lungs are clear.", "Fracture."),
)


def write_corpora(folder: Path, *, studies: int = 12) -> Path:
    """Write a corpus `images` of studies with images and reports, and a corpus `texts` of reports only."""
    for name, has_images in (("images", True), ("texts", False)):
        rows = [_study(folder / name, split, n, has_images) for split in ("train", "val") for n in range(studies)]
        (folder / name).mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name / "manifest.jsonl").write_text(lines, encoding="utf-8")
    return folder


def small_recipe(data: Path, *, stage: Mapping[str, Any] | None = None, dropout: float = 0.1, **changes: Any) -> Recipe:
    """Return a recipe for the corpora in `data`; `stage` changes both stages, `changes` any other key."""
    common = {
        "corpora": ["images", "texts"],
        "batch_size": 4,
        "accumulate": 2,
        "validate_every": 4,
        "validation_drafts": 4,
        "patience": 100,
        "augment": bool(dropout),
    }
    image_stage = {"name": "image_encoder", "corpora": ["images"], "steps": 8}
    image_stage["rates"] = {"encoder": 1e-3, "projector": 1e-2}
    text_stage = {"name": "decoder", "steps": 24, "ema_decay": 0.9, "rates": {"projector": 1e-3, "decoder": 3e-3}}
    values: dict[str, Any] = {
        "name": "small",
        "data": str(data),
        "precision": "fp32",
        "save_minutes": 0.003,
        "tensorboard": False,
        "text": {"vocabulary_size": 200, "max_report_tokens": 40, "sections": ["FINDINGS", "IMPRESSION"]},
        "corpora": [{"name": "images", "path": "images"}, {"name": "texts", "path": "texts", "use_images": False}],
        "model": {
            "encoder": {"name": "test_vit", "image_size": _SIZE, "channels": 1, "arguments": {"img_size": _SIZE}},
            "projector": {"patch_tokens": 2, "hidden": 16, "dropout": dropout},
            "decoder": {"width": 32, "layers": 2, "heads": 2, "positions": 160, "dropout": dropout},
        },
        "stages": [common | image_stage | dict(stage or {}), common | text_stage | dict(stage or {})],
    }
    return Recipe.model_validate(values | changes)


def _study(folder: Path, split: str, number: int, has_images: bool) -> dict[str, Any]:
    """Write a study: an image with a bright corner that depends on its report; reports differ in length."""
    corner = number % len(_REPORTS)
    findings, impression = _REPORTS[corner]
    row = {"study_id": f"{split}-{number}", "split": split, "findings": findings, "impression": impression}
    row["indication"] = "Cough and fever." if number % 3 else ""
    return row | ({"images": [_draw(folder, f"{split}-{number}.png", corner, number)]} if has_images else {})


def _draw(folder: Path, name: str, corner: int, seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 60, (_SIZE, _SIZE)).astype(np.uint8)
    row, column = divmod(corner, 2)
    half = _SIZE // 2
    pixels[row * half :, column * half :][:half, :half] += 150
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(folder / name)
    return name
