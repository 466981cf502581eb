"""What of a corpus is worth being seen: what repeats, and a draw of all images. It quotes reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpus_qc.duplicate_clusters import Places
from report_gen.corpus_qc.image_features import examine_image
from report_gen.corpus_qc.rows import SECTIONS
from report_gen.corpus_qc.scan import Gathered, Picture
from report_gen.corpus_qc.study_features import TEXTS, report_of

_COMMONEST, _PAIRS, _IMAGE_PAIRS = 5, 5, 8


@dataclass(frozen=True, kw_only=True)
class ExampleImages:
    """What a page shows beside the figures."""

    lengths: dict[str, NDArray[np.uint32]]
    """Words of findings and of impression, of the studies that have them."""
    commonest: tuple[tuple[int, str], ...]
    """How often a report stands in the corpus word for word, and the report; the commonest first."""
    alike: tuple[tuple[str, str], ...]
    """Two reports of a family, which are not the same word for word."""
    pictures: tuple[Picture, ...]
    """Drawn at random."""
    look_alikes: tuple[Picture, ...]
    """Two images of a family side by side, which are not the same byte for byte."""


def show(dataset: Dataset, gathered: Gathered, texts: Places, images: Places) -> ExampleImages:
    """Picks from the corpus what the numbers point at.

    Args:
        dataset: The corpus.
        gathered: Its numbers.
        texts: Family [N] of each study's report, -1 for none.
        images: Family [M] of each image, -1 for none.
    """
    reports = gathered.studies["texts"][:, TEXTS.index("report")]
    return ExampleImages(
        lengths={name: _lengths(gathered, name) for name in ("findings", "impression")},
        commonest=tuple(_commonest(dataset, reports)),
        alike=tuple(
            (report_of(dataset[one]), report_of(dataset[other])) for one, other in _pairs(reports, texts, _PAIRS)
        ),
        pictures=gathered.pictures,
        look_alikes=tuple(
            _picture(dataset, gathered.images[place])
            for pair in _pairs(gathered.images["content"], images, _IMAGE_PAIRS)
            for place in pair
        ),
    )


def _lengths(gathered: Gathered, section: str) -> NDArray[np.uint32]:
    words = gathered.studies["words"][:, SECTIONS.index(section)]
    return np.asarray(words[words > 0])


def _commonest(dataset: Dataset, reports: NDArray[np.uint64]) -> list[tuple[int, str]]:
    _, first, counts = np.unique(reports, return_index=True, return_counts=True)
    repeated = (counts > 1) & (reports[first] != 0)
    order = np.argsort(-counts[repeated], kind="stable")[:_COMMONEST]
    return [(int(counts[repeated][place]), report_of(dataset[int(first[repeated][place])])) for place in order]


def _pairs(items: NDArray[Any], clusters: Places, most: int) -> list[tuple[int, int]]:
    """Places of the first two different items of as many families."""
    _, first = np.unique(items, return_index=True)
    first = first[clusters[first] >= 0]
    ordered = first[np.argsort(clusters[first], kind="stable")]
    left, right = ordered[:-1], ordered[1:]
    together = np.flatnonzero(clusters[left] == clusters[right])
    _, heads = np.unique(clusters[left[together]], return_index=True)
    chosen = together[heads[:: max(len(heads) // most, 1)][:most]]
    return [(int(left[place]), int(right[place])) for place in chosen]


def _picture(dataset: Dataset, image: Any) -> Picture:
    row, place = dataset[int(image["study"])], int(image["place"])
    thumbnail = examine_image(row["images"][place]).thumbnail
    return Picture(np.zeros((1, 1), np.uint8) if thumbnail is None else thumbnail, f"study {image['study'] + 1}")
