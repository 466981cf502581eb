"""Write synthetic images as a corpus: marked PNG files, a manifest, a summary and contact sheets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from report_gen import __version__
from report_gen.corpora import SYNTHETIC
from report_gen.errors import OutputError
from report_gen.files import write_folder
from report_gen.imaging import encode_synthetic

from ..monitoring import Strip, draw_contact_sheet
from .drawing import SyntheticImages
from .training_images import TrainingImages

_SHOWN = 32
"""Images in a contact sheet."""
_QUANTILES = (0.0, 0.01, 0.1, 0.5, 0.9)


def write_corpus(
    folder: Path,
    synthetic: SyntheticImages,
    images: TrainingImages,
    findings: Sequence[str],
) -> None:
    """Write synthetic images as a corpus in the layout `manifest`.

    The folder gets the images as PNG, each marked as synthetic, `manifest.jsonl` with their labels, `synthesis.json`
    with the distances to the nearest training images, `contact_sheet.png`, and `nearest.png`, which shows synthetic
    images beside the nearest training images and therefore images of patients.

    Args:
        folder: A folder that does not exist.
        synthetic: The N images.
        images: The images that the generator was trained on.
        findings: Names of the F findings.

    Raises:
        OutputError: The folder exists, or cannot be written.
    """
    if folder.exists():
        raise OutputError(f"{folder}: exists already; give another --output")
    description = f"Synthetic image of report-gen {__version__}. It shows no patient. Drawn for: {synthetic.finding}."
    rows = [_row(number, synthetic, findings) for number in range(len(synthetic.pixels))]
    contents: dict[str, bytes | Callable[[], bytes]] = {
        row["images"][0]: partial(encode_synthetic, pixels, description)
        for row, pixels in zip(rows, synthetic.pixels, strict=True)
    }
    contents["manifest.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
    contents["synthesis.json"] = json.dumps(_summary(synthetic, images), indent=2).encode() + b"\n"
    contents["contact_sheet.png"] = partial(_contact_sheet, synthetic)
    contents["nearest.png"] = partial(_nearest_sheet, synthetic, images)
    write_folder(folder, contents)


def _row(number: int, synthetic: SyntheticImages, findings: Sequence[str]) -> dict[str, Any]:
    pixels = synthetic.pixels[number]
    name = f"synthetic-{hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}"
    labels = zip(findings, synthetic.labels[number].tolist(), strict=True)
    return {
        "study_id": name,
        "patient_id": name,
        "images": [f"{name}.png"],
        "split": "train",
        "source": f"{SYNTHETIC}/{synthetic.finding}",
        "stored_px": pixels.shape[0],
        **{finding: label for finding, label in labels if not np.isnan(label)},
    }


def _summary(synthetic: SyntheticImages, images: TrainingImages) -> dict[str, Any]:
    return {
        "finding": synthetic.finding,
        "images": len(synthetic.pixels),
        "training_images": len(images.pixels),
        "training_images_sha256": images.sha256,
        "discarded_as_copies": synthetic.copies,
        "distance": "1 - correlation of the pixels with the nearest training image, at 32 x 32 pixels",
        "smallest_distance_kept": synthetic.threshold,
        "generator_trained_enough": not synthetic.is_unlike_training,
        "distances": _quantiles(synthetic.nearest.distances),
        "distances_between_patients": _quantiles(synthetic.references),
    }


def _quantiles(values: np.ndarray[Any, Any]) -> dict[str, float]:
    return {f"{share:g}": round(float(np.quantile(values, share)), 6) for share in _QUANTILES}


def _contact_sheet(synthetic: SyntheticImages) -> bytes:
    squares = torch.from_numpy(synthetic.pixels[:_SHOWN]).float() / 255
    heading = f"synthetic images, {synthetic.finding}: they show no patient"
    return draw_contact_sheet([Strip(heading, squares, ["synthetic"] * len(squares))])


def _nearest_sheet(synthetic: SyntheticImages, images: TrainingImages) -> bytes:
    """Draw the synthetic images that are most like a training image, each above that image."""
    order = np.argsort(synthetic.nearest.distances)[:8]
    drawn = torch.from_numpy(synthetic.pixels[order]).float() / 255
    training = torch.from_numpy(images.pixels[synthetic.nearest.indices[order]]).float() / 255
    labels = [f"distance {synthetic.nearest.distances[one]:.3f}" for one in order]
    return draw_contact_sheet(
        [
            Strip("synthetic images that are most like a training image", drawn, labels),
            Strip("these training images (images of patients)", training, [""] * len(order)),
        ]
    )
