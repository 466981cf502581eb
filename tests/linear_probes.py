"""Radiographs and features for the experiments that fit linear probes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from report_gen_training.experiments.linear_probe import Radiographs

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
