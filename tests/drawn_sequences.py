"""Drawn studies of several images in which only the sequence decides about a finding.

Studies come in pairs. Both studies of a pair have the same images and the same set of offsets; which image has which
offset decides whether the finding is present. A model that treats the images as a set gets half of the studies right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.imaging.transform import collate_view_offsets
from report_gen.records import ViewOffset
from tests.builders import write_manifest, write_png

SIZE = 32
"""Side length of the images, pixels."""

REPORTS = (
    "FINDINGS: The lungs are clear. No nodule. IMPRESSION: No acute disease.",
    "FINDINGS: There is a lung nodule. IMPRESSION: Lung nodule.",
)
"""Reports of studies without and with the finding."""

Images = list[NDArray[np.float32]]
Offsets = list[ViewOffset]
Pair = tuple[Images, Offsets, Offsets]
"""The images of two studies, with their offsets if the finding is absent and if it is present."""


class DrawnStudies(NamedTuple):
    """S studies of V images, of which every second one has the finding."""

    pixel_values: torch.Tensor
    """[S,V,1,size,size] in -1..1."""
    view_offsets: torch.Tensor
    """[S,V,3], `ViewOffset` of each image."""
    targets: torch.Tensor
    """[S]: 1 if the finding is present, else 0."""

    def __getitem__(self, rows: torch.Tensor) -> DrawnStudies:  # type: ignore[override]
        """Return the studies with these indices."""
        return DrawnStudies(*(field[rows] for field in tuple(self)))


def write_corpus(
    folder: Path, draw_pair: Callable[[np.random.Generator], Pair], *, finding: str, pairs: Mapping[str, int]
) -> Path:
    """Write drawn studies as PNG files with a manifest that states labels and offsets.

    Args:
        folder: The corpus.
        draw_pair: Draws two studies.
        finding: Column of the labels.
        pairs: Number of pairs by split.
    """
    rows = []
    for seed, (split, count) in enumerate(pairs.items()):
        studies = draw_studies(draw_pair, pairs=count, seed=seed)
        for number, (images, offsets, target) in enumerate(zip(*studies, strict=True)):
            names = [f"{split}-{number}-{index}.png" for index in range(len(images))]
            for name, pixels in zip(names, (images[:, 0].numpy() + 1) * 127.5, strict=True):
                write_png(folder / name, pixels.astype(np.uint8))
            row = {"study_id": f"{split}-{number}", "split": split, "images": names, finding: int(target)}
            row["report"] = REPORTS[int(target)]
            for unit, values in zip(ViewOffset._fields, offsets.double().T.tolist(), strict=True):
                row[f"offsets_{unit}"] = [None if math.isnan(value) else value for value in values]
            rows.append(row)
    return write_manifest(folder, rows)


def draw_studies(draw_pair: Callable[[np.random.Generator], Pair], *, pairs: int, seed: int) -> DrawnStudies:
    """Draw pairs of studies; the images of every study are in random order."""
    random = np.random.default_rng(seed)
    studies, offsets = zip(*_studies(draw_pair, pairs, random), strict=True)
    pixel_values = torch.from_numpy(np.stack(studies)).unsqueeze(2) * 2 - 1
    return DrawnStudies(pixel_values, collate_view_offsets(offsets), torch.tensor([0.0, 1.0] * pairs))


def _studies(
    draw_pair: Callable[[np.random.Generator], Pair], pairs: int, random: np.random.Generator
) -> Iterator[tuple[NDArray[np.float32], Offsets]]:
    for _ in range(pairs):
        images, absent, present = draw_pair(random)
        for offsets in (absent, present):
            order = random.permutation(len(images))
            yield np.stack(images)[order], [offsets[index] for index in order]


def draw_growth(random: np.random.Generator) -> Pair:
    """Draw a lesion at several times; the finding is that it grows, else it shrinks."""
    row, column = random.uniform(0.4, 0.6, 2)
    images = [draw_disc(row, column, radius) for radius in np.sort(random.uniform(0.06, 0.38, 5))]
    offsets = [ViewOffset(seconds=seconds) for seconds in np.cumsum(random.uniform(5, 30, 5))]
    return images, offsets[::-1], offsets


def draw_arrival(random: np.random.Generator) -> Pair:
    """Draw a vessel at irregular times of which contrast reaches one; the finding is that it arrives after 20 seconds.

    The number of earlier and of later images says little about the time.
    """
    early, between, late = random.multinomial(4, [1 / 3] * 3)
    before, after = 1 + early, 2 + early + between
    seconds = np.sort(
        np.concatenate(
            [
                random.uniform(0, 8, before),
                random.uniform(8, 14, 1),
                random.uniform(14, 32, between),
                random.uniform(32, 45, 1),
                random.uniform(45, 60, late),
            ]
        )
    )
    seconds -= seconds[0]
    images = [draw_disc(0.5, 0.5, 0.25, brightness=0.85 if index == 0 else 0.25) for index in range(len(seconds))]

    def offsets(arrival: int) -> Offsets:
        others = [time for index, time in enumerate(seconds) if index != arrival]
        return [ViewOffset(seconds=time) for time in (seconds[arrival], *others)]

    return images, offsets(before), offsets(after)


def draw_course(random: np.random.Generator) -> Pair:
    """Draw slices with a marker that moves from slice to slice; the finding is that it ascends toward the head."""
    column = random.uniform(0.2, 0.3)
    images = [draw_disc(row, column, 0.1) for row in np.sort(random.uniform(0.08, 0.42, 6))]
    offsets = [ViewOffset(mm=mm) for mm in np.cumsum(random.uniform(3, 6, 6)) - random.uniform(0, 100)]
    return images, offsets, offsets[::-1]


def draw_disc(row: float, column: float, radius: float, *, brightness: float = 0.9) -> NDArray[np.float32]:
    """Return a gray image [size,size] in 0..1 with a disc; places and radius are shares of the side."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    inside = np.clip((radius - np.hypot(y - row, x - column)) * SIZE + 0.5, 0, 1)
    return (0.2 + (brightness - 0.2) * inside).astype(np.float32)
