"""Read a corpus once, in batches, and keep numbers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpus_qc.image_features import IMAGE_DTYPE, ImageFeatures, image_workers
from report_gen.corpus_qc.rows import Row, split_batch
from report_gen.corpus_qc.study_features import describe_study, report_of, study_dtype
from report_gen.corpus_qc.text_statistics import SIGNATURE_LENGTH, compute_signature, fingerprint, words_of
from report_gen.records import FindingSchema, ViewPosition, strip_controls

BATCH_STUDIES = 64
"""Studies between two reports of progress."""
MAX_THUMBNAILS = 48
"""Thumbnails on a contact sheet."""
MAX_ERRORS = 20
"""Errors that are kept; further ones are only counted."""

Progress = Callable[[int], None]
"""Called with the number of studies that are done."""


@dataclass(frozen=True)
class Thumbnail:
    """A small image [H,W] with its caption."""

    pixels: NDArray[np.uint8]
    caption: str


@dataclass(frozen=True, kw_only=True)
class CorpusScan:
    """Numbers that describe a corpus of N studies with T different reports and M images."""

    studies: NDArray[Any]
    """[N] of `study_dtype`."""
    texts: NDArray[np.uint64]
    """Fingerprints [T] of the reports."""
    signatures: NDArray[np.uint32]
    """Signatures [T,SIGNATURE_LENGTH] of the reports."""
    images: NDArray[Any]
    """[M] of IMAGE_DTYPE; empty if the images were not opened."""
    views: Counter[str]
    """Number of images by view position."""
    splits: Counter[str]
    """Number of studies by split, as the corpus names it."""
    errors: tuple[str, ...]
    """The first files that are missing or cannot be read, with the reason."""
    thumbnails: tuple[Thumbnail, ...]
    """Thumbnails of a random sample of all images."""


def scan_corpus(
    dataset: Dataset, *, examine_images: bool, progress: Progress, schema: FindingSchema, seed: int = 0
) -> CorpusScan:
    """Read a corpus once and describe its studies, reports and images by numbers.

    Args:
        dataset: Corpus with the columns of `corpora.corpus_features`.
        examine_images: Whether to open the images.
        progress: Called with the number of studies that are done.
        schema: The findings with which the dataset was read.
        seed: Seed of the sample of thumbnails.
    """
    texts, images = _DistinctReports(), _Images(np.random.default_rng(seed))
    record = study_dtype(schema)
    studies = [np.zeros(0, dtype=record)]
    views: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    with image_workers() if examine_images else nullcontext() as workers:
        for number, batch in enumerate(dataset.iter(batch_size=BATCH_STUDIES)):
            rows = list(split_batch(batch))
            described = [describe_study(row, texts.add(row), schema) for row in rows]
            studies.append(np.array(described, dtype=record))
            views.update(view for row in rows for view in row["view_positions"])
            splits.update(batch["split"])
            if workers is not None:
                images.add(rows, number * BATCH_STUDIES, workers(path for row in rows for path in row["images"]))
            progress(number * BATCH_STUDIES + len(rows))
    return CorpusScan(
        studies=np.concatenate(studies),
        texts=np.fromiter(texts.fingerprints, dtype=np.uint64),
        signatures=np.frombuffer(texts.signatures, dtype=np.uint32).reshape(-1, SIGNATURE_LENGTH),
        images=np.concatenate(images.records),
        views=views,
        splits=splits,
        errors=tuple(images.errors),
        thumbnails=tuple(images.sample),
    )


class _DistinctReports:
    """Fingerprints and signatures of the different reports."""

    def __init__(self) -> None:
        self.fingerprints: dict[int, None] = {}
        self.signatures = bytearray()

    def add(self, row: Row) -> list[str]:
        """Add the report of a row. Return its words."""
        words = words_of(report_of(row))
        report = fingerprint(" ".join(words))
        if report and report not in self.fingerprints:
            self.fingerprints[report] = None
            self.signatures += compute_signature(words).tobytes()
        return words


class _Images:
    """Records of the images, errors, and a random sample of thumbnails."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.records = [np.zeros(0, dtype=IMAGE_DTYPE)]
        self.errors: list[str] = []
        self.sample: list[Thumbnail] = []
        self.readable = 0

    def add(self, rows: Sequence[Row], first: int, examined: Iterator[ImageFeatures]) -> None:
        """Add the images of rows. `first` is the number of the first row in the corpus."""
        listed = [(number, index, row) for number, row in enumerate(rows, first) for index in range(len(row["images"]))]
        records = np.zeros(len(listed), dtype=IMAGE_DTYPE)
        for record, (number, index, row), features in zip(records, listed, examined, strict=True):
            record["study"], record["index"], record["state"] = number, index, features.state
            if features.error:
                self.errors += [strip_controls(features.error)] if len(self.errors) < MAX_ERRORS else []
            if features.perceptual_hash is not None:
                record["content"], record["size"] = features.content, features.size
                record["perceptual_hash"] = features.perceptual_hash
                self._sample(features, _caption(row, index))
        self.records.append(records)

    def _sample(self, features: ImageFeatures, caption: str) -> None:
        """Keep MAX_THUMBNAILS of all images with equal probability (Vitter 1985, algorithm R)."""
        self.readable += 1
        is_full = len(self.sample) >= MAX_THUMBNAILS
        index = int(self.random.integers(self.readable)) if is_full else len(self.sample)
        if features.thumbnail is not None and index < MAX_THUMBNAILS:
            self.sample[index : index + 1] = [Thumbnail(features.thumbnail, caption)]


def _caption(row: Row, index: int) -> str:
    view = row["view_positions"][index]
    return row["split"] if view == ViewPosition.UNKNOWN else f"{row['split']} {view}"
