"""Radiographs and features for the experiments that fit linear probes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from report_gen_training.experiments.linear_probe import Radiographs
from safetensors.torch import save_file

from tests.builders import corner_image, write_png


def write_nih(folder: Path, patients: int, kinds: Sequence[str] = ("Effusion", "Atelectasis")) -> Path:
    """Write radiographs of the layout `nih`; each kind is a bright corner of its own."""
    rows = []
    for number in range(patients):
        place = number % len(kinds)
        write_png(folder / "images" / f"{number}.png", corner_image(place))
        rows.append((f"{number}.png", kinds[place], str(number), "PA"))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("Image Index", "Finding Labels", "Patient ID", "View Position"), *rows])
    return folder


def synthetic(patients: int = 60) -> tuple[torch.Tensor, Radiographs]:
    """Return features whose first column is the label of the first finding, and noise for the second."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, (patients, 2)).astype(np.float64)
    features = random.normal(size=(patients, 5))
    features[:, 0] += 6 * labels[:, 0]
    radiographs = Radiographs(
        paths=tuple(map(str, range(patients))),
        patients=np.array([str(number // 2) for number in range(patients)]),
        validation=np.arange(patients) >= 40,
        findings=("Edema", "Fracture"),
        labels=labels,
        targets=labels,
    )
    return torch.from_numpy(features), radiographs


def write_tiny_recipe(folder: Path) -> Path:
    """Write a recipe of a tiny encoder with random weights, for the corpus `nih` in the folder."""
    weights = timm.create_model("test_resnet", num_classes=0, in_chans=1).state_dict()
    save_file(weights, folder / "encoder.safetensors")
    path = folder / "tiny.toml"
    path.write_text(
        f"""
        name = "tiny"
        data = "{folder}"
        corpora = [{{ name = "nih", path = "nih", layout = "nih" }}]
        stages = [{{ name = "heads", corpora = ["nih"], steps = 1, rates = {{ projector = 1e-3 }} }}]
        [model]
        encoder_weights = "encoder.safetensors"
        [model.encoder]
        name = "test_resnet"
        image_size = 32
        channels = 1
        """
    )
    return path
