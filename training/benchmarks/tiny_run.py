"""A corpus and a recipe so small that a run of them takes seconds, with everything in it that a resumed run could lose:
two stages, dropout, augmentation, several batches a step, an average of the weights, drafts at every validation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from ..recipe.schema import Recipe

_SIZE = 32
_REPORTS = (
    ("The heart is enlarged. The lungs are clear.", "Cardiomegaly."),
    ("There is a small pleural effusion.", "Pleural effusion."),
    ("The lungs are clear. The heart is normal in size.", "No acute disease."),
    ("There is a rib fracture. The lungs are clear.", "Fracture."),
)


def write_corpora(folder: Path, *, studies: int = 12) -> Path:
    """A corpus `films` of studies with images and reports, and a corpus `words` of reports alone, in `folder`."""
    for name, has_images in (("films", True), ("words", False)):
        rows = [_study(folder / name, split, n, has_images) for split in ("train", "val") for n in range(studies)]
        (folder / name).mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name / "manifest.jsonl").write_text(lines, encoding="utf-8")
    return folder


def small_recipe(data: Path, *, stage: Mapping[str, Any] | None = None, dropout: float = 0.1, **changes: Any) -> Recipe:
    """A recipe for the corpora in `data`; `stage` changes both its stages, `changes` any other key."""
    common = {
        "corpora": ["films", "words"],
        "batch_size": 4,
        "accumulate": 2,
        "validate_every": 4,
        "drafts": 4,
        "patience": 100,
        "augment": bool(dropout),
    }
    eyes = {"name": "eyes", "corpora": ["films"], "steps": 8, "rates": {"encoder": 1e-3, "projector": 1e-2}}
    words = {"name": "words", "steps": 24, "average": 0.9, "rates": {"projector": 1e-3, "decoder": 3e-3}}
    values: dict[str, Any] = {
        "name": "small",
        "data": str(data),
        "precision": "fp32",
        "save_minutes": 0.003,
        "tensorboard": False,
        "text": {"vocabulary_size": 200, "longest": 40, "sections": ["FINDINGS", "IMPRESSION"]},
        "corpora": [{"name": "films", "path": "films"}, {"name": "words", "path": "words", "use_images": False}],
        "model": {
            "encoder": {"name": "test_vit", "image_size": _SIZE, "channels": 1, "arguments": {"img_size": _SIZE}},
            "projector": {"patch_tokens": 2, "hidden": 16, "dropout": dropout},
            "decoder": {"width": 32, "layers": 2, "heads": 2, "positions": 160, "dropout": dropout},
        },
        "stages": [common | eyes | dict(stage or {}), common | words | dict(stage or {})],
    }
    return Recipe.model_validate(values | changes)


def _study(folder: Path, split: str, number: int, has_images: bool) -> dict[str, Any]:
    """A picture bright in the corner that its report tells, and the report; some are longer than others."""
    place = number % len(_REPORTS)
    findings, impression = _REPORTS[place]
    row = {"study_id": f"{split}-{number}", "split": split, "findings": findings, "impression": impression}
    row["indication"] = "Cough and fever." if number % 3 else ""
    return row | ({"images": [_draw(folder, f"{split}-{number}.png", place, number)]} if has_images else {})


def _draw(folder: Path, name: str, place: int, seed: int) -> str:
    pixels = np.random.default_rng(seed).integers(0, 60, (_SIZE, _SIZE)).astype(np.uint8)
    row, column = divmod(place, 2)
    half = _SIZE // 2
    pixels[row * half :, column * half :][:half, :half] += 150
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(folder / name)
    return name
