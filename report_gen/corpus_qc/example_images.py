"""Select examples of a corpus for the page: frequent and similar reports, random and similar images.

The examples contain reports and images of patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpus_qc.duplicate_clusters import Indices
from report_gen.corpus_qc.image_features import examine_image
from report_gen.corpus_qc.rows import SECTIONS
from report_gen.corpus_qc.scan import CorpusScan, Thumbnail
from report_gen.corpus_qc.study_features import TEXTS, report_of

_FREQUENT_REPORTS, _REPORT_PAIRS, _IMAGE_PAIRS = 5, 5, 8


@dataclass(frozen=True, kw_only=True)
class ExampleImages:
    """Examples that a page shows beside the numbers."""

    section_lengths: dict[str, NDArray[np.uint32]]
    """Lengths in words of findings and impression, of the studies that have them."""
    frequent_reports: tuple[tuple[int, str], ...]
    """The most frequent reports with their counts, in descending order."""
    similar_reports: tuple[tuple[str, str], ...]
    """Pairs of similar reports that are not identical."""
    random_images: tuple[Thumbnail, ...]
    similar_images: tuple[Thumbnail, ...]
    """Pairs of similar images that are not identical, one after the other."""


def select_examples(dataset: Dataset, scan: CorpusScan, texts: Indices, images: Indices) -> ExampleImages:
    """Select examples of a corpus.

    Args:
        dataset: The corpus.
        scan: Its numbers.
        texts: Cluster [N] of the report of each study, -1 for none.
        images: Cluster [M] of each image, -1 for none.
    """
    reports = scan.studies["texts"][:, TEXTS.index("report")]
    return ExampleImages(
        section_lengths={name: _lengths(scan, name) for name in ("findings", "impression")},
        frequent_reports=tuple(_frequent_reports(dataset, reports)),
        similar_reports=tuple(
            (report_of(dataset[one]), report_of(dataset[other])) for one, other in _pairs(reports, texts, _REPORT_PAIRS)
        ),
        random_images=scan.thumbnails,
        similar_images=tuple(
            _thumbnail(dataset, scan.images[index])
            for pair in _pairs(scan.images["content"], images, _IMAGE_PAIRS)
            for index in pair
        ),
    )


def _lengths(scan: CorpusScan, section: str) -> NDArray[np.uint32]:
    words = scan.studies["words"][:, SECTIONS.index(section)]
    return np.asarray(words[words > 0])


def _frequent_reports(dataset: Dataset, reports: NDArray[np.uint64]) -> list[tuple[int, str]]:
    _, first, counts = np.unique(reports, return_index=True, return_counts=True)
    repeated = (counts > 1) & (reports[first] != 0)
    order = np.argsort(-counts[repeated], kind="stable")[:_FREQUENT_REPORTS]
    return [(int(counts[repeated][index]), report_of(dataset[int(first[repeated][index])])) for index in order]


def _pairs(items: NDArray[Any], clusters: Indices, limit: int) -> list[tuple[int, int]]:
    """Return the indices of the first two different items of up to `limit` clusters."""
    _, first = np.unique(items, return_index=True)
    first = first[clusters[first] >= 0]
    ordered = first[np.argsort(clusters[first], kind="stable")]
    left, right = ordered[:-1], ordered[1:]
    together = np.flatnonzero(clusters[left] == clusters[right])
    _, heads = np.unique(clusters[left[together]], return_index=True)
    chosen = together[heads[:: max(len(heads) // limit, 1)][:limit]]
    return [(int(left[index]), int(right[index])) for index in chosen]


def _thumbnail(dataset: Dataset, image: Any) -> Thumbnail:
    row, index = dataset[int(image["study"])], int(image["index"])
    thumbnail = examine_image(row["images"][index]).thumbnail
    return Thumbnail(np.zeros((1, 1), np.uint8) if thumbnail is None else thumbnail, f"study {image['study'] + 1}")
