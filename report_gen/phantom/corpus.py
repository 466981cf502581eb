"""Write a corpus of phantoms with reports, to test training and evaluation without patient data."""

from __future__ import annotations

import json
import os
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from report_gen.files import write_atomically
from report_gen.phantom.anatomy import Side
from report_gen.phantom.dicom import draw_chest, write_png

_SIDES: tuple[Side | None, ...] = (None, "left", "right")
_CHESTS = tuple(product(_SIDES, (False, True)))
"""Combinations of effusion and cardiomegaly."""
_SPLIT_CYCLE = ("train",) * 7 + ("val",) + ("test",) * 2
"""Splits of ten successive chests of one combination."""
_INDICATIONS = ("Cough.", "Shortness of breath.", "Chest pain.", "")
_ENLARGED = ("The heart is enlarged.", "The cardiac silhouette is enlarged.", "There is cardiomegaly.")
_NORMAL = ("The heart is normal in size.", "Heart size is within normal limits.", "The heart is not enlarged.")
_FLUID = (
    "There is a {side} pleural effusion.",
    "A {side} pleural effusion is present.",
    "Fluid fills the {side} costophrenic angle, consistent with pleural effusion.",
)
_DRY = (
    "There is no pleural effusion.",
    "No pleural effusion is seen.",
    "The lungs are clear without pleural effusion.",
)


def write_phantom_corpus(folder: str | os.PathLike[str], *, studies: int = 240, size: int = 128, seed: int = 0) -> Path:
    """Write radiographs as PNG and their reports as manifest.jsonl.

    Six kinds of chest are equally frequent in every split: without effusion, with a left or a right effusion, each with
    a normal or an enlarged heart. The wording of a report is random, its content is not. Of ten studies seven are in
    train, one in val and two in test. The same call writes the same corpus.

    Args:
        folder: Folder of the corpus; it is created if missing.
        studies: Number of studies.
        size: Side length of the images, pixels.
        seed: Seed of images and wording.

    Returns:
        The folder.

    Raises:
        OutputError: The manifest cannot be written.
    """
    folder, random = Path(folder), np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(studies):
        effusion, cardiomegaly = _CHESTS[number % len(_CHESTS)]
        row = _row(number, effusion, cardiomegaly, random)
        pixels = draw_chest(size, size, seed=seed + number, effusion=effusion, cardiomegaly=cardiomegaly)
        write_png(folder / row["images"][0], pixels)
        rows.append(row)
    write_atomically(folder / "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return folder


def _row(number: int, effusion: Side | None, cardiomegaly: bool, random: np.random.Generator) -> dict[str, Any]:
    """Return one row of the manifest; `corpora.manifest` describes the columns."""
    heart = str(random.choice(_ENLARGED if cardiomegaly else _NORMAL))
    pleura = str(random.choice(_FLUID if effusion else _DRY)).format(side=effusion)
    return {
        "study_id": f"phantom-{number:04}",
        "patient_id": f"phantom-{number:04}",
        "images": [f"phantom-{number:04}.png"],
        "views": ["PA"],
        "indication": str(random.choice(_INDICATIONS)),
        "findings": " ".join(random.permutation([heart, pleura])),
        "impression": _conclude(effusion, cardiomegaly),
        "Cardiomegaly": int(cardiomegaly),
        "Pleural Effusion": int(effusion is not None),
        "split": _SPLIT_CYCLE[number // len(_CHESTS) % len(_SPLIT_CYCLE)],
    }


def _conclude(effusion: Side | None, cardiomegaly: bool) -> str:
    """Return the impression."""
    found = ["cardiomegaly"] * cardiomegaly + [f"{effusion} pleural effusion"] * (effusion is not None)
    return f"{' and '.join(found) or 'no acute disease'}.".capitalize()
