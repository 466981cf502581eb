"""A corpus of phantoms: drawn chests and reports that say what was drawn, to rehearse training and evaluation on."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from report_gen.files import write_atomically
from report_gen.phantom.anatomy import Side
from report_gen.phantom.dicom import draw_chest, write_png

_SIDES: tuple[Side | None, ...] = (None, "left", "right")
_CHESTS = tuple(product(_SIDES, (False, True)))
"""Effusion and cardiomegaly."""
_ROUND = ("train",) * 7 + ("val",) + ("test",) * 2
"""Splits of ten chests of one kind, one after the other."""
_INDICATIONS = ("Cough.", "Shortness of breath.", "Chest pain.", "")
_LARGE = ("The heart is enlarged.", "The cardiac silhouette is enlarged.", "There is cardiomegaly.")
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


def write_phantom_corpus(folder: Path, *, studies: int = 240, size: int = 128, seed: int = 0) -> Path:
    """Writes `studies` films of `size` by `size` pixels as PNG, and manifest.jsonl, the corpus layout of one's own.

    Six kinds of chest are as frequent as each other in every split: without effusion, with one on the left or on the
    right, each with a normal or a large heart. The wording of a report is drawn by chance, what it says is not. Seven
    of ten studies are in train, one in val and two in test. The same call writes the same corpus. Returns the folder.

    Raises:
        OutputError: the manifest cannot be written.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(studies):
        effusion, cardiomegaly = _CHESTS[number % len(_CHESTS)]
        row = _row(number, effusion, cardiomegaly, random)
        film = draw_chest(size, size, seed=seed + number, effusion=effusion, cardiomegaly=cardiomegaly)
        write_png(folder / row["images"][0], film)
        rows.append(row)
    write_atomically(folder / "manifest.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return folder


def _row(number: int, effusion: Side | None, cardiomegaly: bool, random: np.random.Generator) -> dict[str, Any]:
    """What the manifest says of one study; see `corpora.manifest` for its columns."""
    heart = str(random.choice(_LARGE if cardiomegaly else _NORMAL))
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
        "split": _ROUND[number // len(_CHESTS) % len(_ROUND)],
    }


def _conclude(effusion: Side | None, cardiomegaly: bool) -> str:
    found = ["cardiomegaly"] * cardiomegaly + [f"{effusion} pleural effusion"] * (effusion is not None)
    return f"{' and '.join(found) or 'no acute disease'}.".capitalize()
