"""The images and labels that an image generator learns from: those of training patients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.corpora import is_synthetic, read_corpus
from report_gen.errors import CorpusError
from report_gen.imaging.transform import ImageTransform
from report_gen.records import FindingSchema

from ..data import Floats, cache_images
from ..run import OnProgress, ignore_progress

LEAST = 16
"""Fewest images from which a generator is trained."""


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The S images of training patients, reduced to the side of the generator."""

    pixels: NDArray[np.uint8]
    """[S,size,size]."""
    labels: Floats
    """[S,F], 1 or 0, NaN if unknown."""
    patients: NDArray[np.str_]
    """[S]. An image without a patient id has its file as patient."""
    paths: tuple[str, ...]
    sha256: str
    """Digest of the pixels and labels."""

    @property
    def conditions(self) -> torch.Tensor:
        """Labels as the generator takes them, [S,F]: 1 present, -1 absent, 0 unknown."""
        return torch.from_numpy(np.nan_to_num(2 * self.labels - 1, nan=0.0)).float()


def read_training_images(
    corpora: Sequence[Path],
    schema: FindingSchema,
    *,
    size: int,
    cache: Path,
    layout: str | None = None,
    on_progress: OnProgress = ignore_progress,
) -> TrainingImages:
    """Read the images of training patients of one or more corpora.

    A patient who is validation or test data in any of the corpora is left out of all of them. Synthetic images are left
    out, because a generator that learns from its own images loses the rare ones first (Shumailov et al., Nature 2024).
    Of studies with several images the first one is used.

    Args:
        corpora: Corpora that number the same patients, or different patients differently.
        schema: The F findings of the labels.
        size: Side of the images, pixels.
        cache: Folder for decoded images.
        layout: Layout of the corpora. Default: auto-detect.
        on_progress: Called with the progress of decoding.

    Raises:
        CorpusError: A corpus or an image cannot be read, or there are fewer than 16 images.
        OutputError: The cache cannot be written.
    """
    found = [row for path in corpora for row in read_corpus(path, layout=layout, schema=schema)]
    held_out = {row["patient_id"] for row in found if row["split"] != "train"} - {""}
    rows = list(_unique(row for row in found if _is_used(row) and row["patient_id"] not in held_out))
    named = ", ".join(map(str, corpora))
    if not any(label is not None for row in found for label in row["labels"]):
        raise CorpusError(
            f"{named}: no study has labels of findings, which a generator needs; give a corpus with a column for each "
            f"finding, such as {schema.findings[-1]!r}, or with a column of labels"
        )
    if len(rows) < LEAST:
        raise CorpusError(
            f"{named}: {len(rows)} labeled images of training patients; a generator needs at least {LEAST}, "
            "and hundreds for each finding to be of use"
        )
    paths = tuple(row["images"][0] for row in rows)
    transform = ImageTransform(size=size, channels=1, mean=0.0, std=1.0)
    images, unreadable = cache_images(cache, paths, transform, on_progress=on_progress)
    if unreadable:
        raise CorpusError(f"{unreadable[0].path}: {unreadable[0].reason}")
    pixels = np.stack([images.read(Path(path)) for path in paths])
    labels = np.array([row["labels"] for row in rows], dtype=np.float64)  # None becomes NaN
    digest = hashlib.sha256(pixels.tobytes())
    digest.update(labels.tobytes())
    patients = np.array([row["patient_id"] or row["images"][0] for row in rows])
    return TrainingImages(pixels, labels, patients, paths, digest.hexdigest())


def _is_used(row: dict[str, Any]) -> bool:
    labeled = any(label is not None for label in row["labels"])
    return row["split"] == "train" and bool(row["images"]) and labeled and not is_synthetic(row["source"])


def _unique(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Yield each image once: corpora may share images under the same study id."""
    seen = set[tuple[str, str]]()
    for row in rows:
        key = (row["patient_id"], row["study_id"])
        if key not in seen:
            seen.add(key)
            yield row
