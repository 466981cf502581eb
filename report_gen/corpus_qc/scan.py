"""One pass over a corpus: its rows go by in batches, and numbers stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpus_qc.image_features import IMAGE, ImageFeatures, image_workers
from report_gen.corpus_qc.rows import Row, split_batch
from report_gen.corpus_qc.study_features import describe_study, report_of, study_dtype
from report_gen.corpus_qc.text_statistics import PLACES, fingerprint, sign, words_of
from report_gen.records.findings import FindingSchema
from report_gen.records.report import strip_controls
from report_gen.records.study import ViewPosition

BATCH = 64
"""Studies between two words of progress."""
SHOWN = 48
"""Images on a contact sheet."""
FAULTS = 20
"""Faults told one by one; the others are counted."""

Progress = Callable[[int], None]
"""Is told how many studies have gone by."""


@dataclass(frozen=True)
class Picture:
    """A small picture [H,W] with what is written under it."""

    pixels: NDArray[np.uint8]
    caption: str


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A corpus as numbers, N studies with T different reports and M images."""

    studies: NDArray[Any]
    """[N] of `study_dtype`."""
    texts: NDArray[np.uint64]
    """[T] fingerprints of the reports."""
    signatures: NDArray[np.uint32]
    """[T,PLACES] of the reports."""
    images: NDArray[Any]
    """[M] of IMAGE; none when nobody looked."""
    views: Counter[str]
    """Images with each view position."""
    splits: Counter[str]
    """Studies of each split, as the corpus calls it."""
    faults: tuple[str, ...]
    """The first files that are missing or cannot be read."""
    pictures: tuple[Picture, ...]
    """Drawn at random from all images."""


def gather(
    dataset: Dataset, *, examine_images: bool, progress: Progress, schema: FindingSchema, seed: int = 0
) -> Gathered:
    """Everything that is counted of a corpus.

    Args:
        dataset: With the columns of `corpora.corpus_features`.
        examine_images: Whether to open the images.
        progress: Called with the number of studies that are done.
        schema: The findings, with which the dataset was read.
        seed: Of the draw of pictures.
    """
    texts, pictures = _Texts(), _Images(np.random.default_rng(seed))
    record = study_dtype(schema)
    studies = [np.zeros(0, dtype=record)]
    views: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    with image_workers() if examine_images else nullcontext() as workers:
        for number, batch in enumerate(dataset.iter(batch_size=BATCH)):
            rows = list(split_batch(batch))
            described = [describe_study(row, texts.learn(row), schema) for row in rows]
            studies.append(np.array(described, dtype=record))
            views.update(view for row in rows for view in row["view_positions"])
            splits.update(batch["split"])
            if workers is not None:
                pictures.add(rows, number * BATCH, workers(path for row in rows for path in row["images"]))
            progress(number * BATCH + len(rows))
    return Gathered(
        studies=np.concatenate(studies),
        texts=np.fromiter(texts.known, dtype=np.uint64),
        signatures=np.frombuffer(texts.signatures, dtype=np.uint32).reshape(-1, PLACES),
        images=np.concatenate(pictures.images),
        views=views,
        splits=splits,
        faults=tuple(pictures.faults),
        pictures=tuple(pictures.drawn),
    )


class _Texts:
    """The different reports, each signed once."""

    def __init__(self) -> None:
        self.known: dict[int, None] = {}
        self.signatures = bytearray()

    def learn(self, row: Row) -> list[str]:
        """The words of a row's report."""
        words = words_of(report_of(row))
        report = fingerprint(" ".join(words))
        if report and report not in self.known:
            self.known[report] = None
            self.signatures += sign(words).tobytes()
        return words


class _Images:
    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.images = [np.zeros(0, dtype=IMAGE)]
        self.faults: list[str] = []
        self.drawn: list[Picture] = []
        self.sound = 0

    def add(self, rows: Sequence[Row], first: int, examined: Iterator[ImageFeatures]) -> None:
        """Adds the images of rows, of which the first is row number `first` of the corpus."""
        named = [(number, place, row) for number, row in enumerate(rows, first) for place in range(len(row["images"]))]
        added = np.zeros(len(named), dtype=IMAGE)
        for image, (number, place, row), features in zip(added, named, examined, strict=True):
            image["study"], image["place"], image["state"] = number, place, features.state
            if features.fault:
                self.faults += [strip_controls(features.fault)] if len(self.faults) < FAULTS else []
            if features.perceptual_hash is not None:
                image["content"], image["looks"], image["size"] = (
                    features.content,
                    features.perceptual_hash,
                    features.size,
                )
                self._draw(features, _caption(row, place))
        self.images.append(added)

    def _draw(self, features: ImageFeatures, caption: str) -> None:
        """Keeps SHOWN pictures of all, each as likely as any other (Vitter's algorithm R)."""
        self.sound += 1
        place = len(self.drawn) if len(self.drawn) < SHOWN else int(self.random.integers(self.sound))
        if features.thumbnail is not None and place < SHOWN:
            self.drawn[place : place + 1] = [Picture(features.thumbnail, caption)]


def _caption(row: Row, place: int) -> str:
    view = row["view_positions"][place]
    return row["split"] if view == ViewPosition.UNKNOWN else f"{row['split']} {view}"
