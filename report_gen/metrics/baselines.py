"""Baselines without a model, whose scores a model must exceed. Every baseline copies training reports.

On IU X-Ray one constant report reaches BLEU-1 0.500, more than published models. Baselines are therefore shown beside
every score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from report_gen.metrics.bleu import ORDER, bleu_from_sums
from report_gen.metrics.measure import Floats
from report_gen.metrics.ngrams import Ints

CONSTANT = "constant"
MOST_FREQUENT = "most frequent"
RANDOM = "random"
NEAREST = "image 1-NN"

_BLOCK = 512
"""Rows of the similarity matrix in memory at a time."""
_Item = tuple[tuple[str, ...], int]
"""An n-gram and k, for its k-th occurrence in a text."""


def best_constant(train: Sequence[str], val: Sequence[str]) -> int:
    """Find the training report that, given for every study, has the highest BLEU-4 on the val reports.

    Clipped matches are the overlap of two sets if the k-th occurrence of an n-gram is an item of its own. One table
    with the number of val reports that contain each item therefore gives the matches of any candidate as a sum.

    Args:
        train: Prepared training reports.
        val: Prepared val reports.

    Returns:
        The index in `train`.
    """
    containing = Counter(item for text in val for _, item in _items(text))
    indices = {text: index for index, text in reversed(list(enumerate(train)))}
    words = sum(len(text.split()) for text in val)
    sums = np.array([_sums(text, containing, len(val), words) for text in indices])
    return list(indices.values())[int(np.argmax(bleu_from_sums(sums)[:, ORDER - 1]))]


def most_frequent(train: Sequence[str]) -> int:
    """Find the index of the most frequent training report, the first of several."""
    return train.index(Counter(train).most_common(1)[0][0])


def random_reports(train: Sequence[str], reports: int, seed: int) -> list[int]:
    """Draw the index of a training report for each of `reports` studies, with replacement."""
    drawn: list[int] = np.random.default_rng([seed, 2]).integers(len(train), size=reports).tolist()
    return drawn


def nearest_reports(train: Floats, test: Floats) -> list[int]:
    """Find for each row of `test` [R, D] the row of `train` [T, D] with the highest cosine similarity."""
    train, test = _normalize(train), _normalize(test)
    blocks = (test[start : start + _BLOCK] @ train.T for start in range(0, len(test), _BLOCK))
    nearest: list[int] = np.concatenate([block.argmax(axis=1) for block in blocks]).tolist()
    return nearest


def _items(text: str) -> Iterator[tuple[int, _Item]]:
    """Yield n - 1 and the item of every n-gram of a text."""
    words, occurrences = text.split(), Counter[tuple[str, ...]]()
    for n in range(ORDER):
        for start in range(len(words) - n):
            ngram = tuple(words[start : start + n + 1])
            occurrences[ngram] += 1
            yield n, (ngram, occurrences[ngram])


def _sums(text: str, containing: Counter[_Item], reports: int, words: int) -> Floats:
    """Compute the sums for `bleu_from_sums` of one text for every study.

    Args:
        text: The constant report.
        containing: Number of val reports that contain each item.
        reports: Number of val reports.
        words: Number of words in all val reports.
    """
    length = len(text.split())
    predicted = np.maximum(length - np.arange(ORDER), 0) * reports
    matched: Ints = np.zeros(ORDER, dtype=np.int64)
    for n, item in _items(text):
        matched[n] += containing[item]
    return np.array([length * reports, words, *predicted, *matched], dtype=np.float64)


def _normalize(features: Floats) -> Floats:
    """Scale each row to length 1; zero rows stay zero."""
    norm = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(norm == 0, 1, norm)
