"""A checkpoint with random weights that drafts within milliseconds, for benchmarks of what lies around the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import torch

from report_gen.config import ModelConfig
from report_gen.labeling import chest_xray
from report_gen.model import ReportModel, save_checkpoint
from report_gen.prompting import Prompt

from ..data import PatientText, learn_vocabulary

SIZE = 32
"""Side of the images, pixels."""
_REPORTS = (
    "FINDINGS: The heart is normal in size. The lungs are clear. IMPRESSION: No acute disease.",
    "FINDINGS: The heart is enlarged. Small left pleural effusion. IMPRESSION: Cardiomegaly and effusion.",
)


def write_light_checkpoint(folder: Path) -> Path:
    """Write the checkpoint, and return its folder."""
    tokenizer = learn_vocabulary([PatientText(text, str(number)) for number, text in enumerate(_REPORTS)], size=150)
    schema = chest_xray()
    config = ModelConfig.model_validate(
        {
            "name": "light",
            "vocabulary_size": tokenizer.vocabulary_size,
            "encoder": {
                "name": "test_vit",
                "image_size": SIZE,
                "channels": 1,
                "arguments": {"img_size": SIZE},
            },
            "finding_schema": schema,
            "findings": {"present": [None if name == "No Finding" else 0.5 for name in schema.findings]},
            "projector": {"patch_tokens": 2, "hidden": 16, "dropout": 0.0},
            "decoder": {"width": 32, "layers": 2, "heads": 2, "positions": 128},
        }
    )
    torch.manual_seed(0)
    model = ReportModel(config, encode=tokenizer.encode).eval()
    save_checkpoint(
        folder,
        model=model,
        config=config,
        tokenizer=tokenizer,
        prompt=Prompt("Chest.\n{views}\n{indication}"),
        training={"steps": 0},
        card="# light\n",
    )
    return folder


def write_images(folder: Path, count: int) -> Path:
    """Write studies of one small image of noise each, 100 in a folder, and return their folder."""
    for number in range(count):
        parent = folder / f"{number // 100:04}"
        parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(parent / f"{number:06}.png")
    return folder
