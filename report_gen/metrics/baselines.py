"""What needs no model: the drafts that a score must beat to mean anything. All are training reports, as they stand.

On IU X-Ray one constant report has BLEU-1 0.500, more than published models. So these stand beside every score.
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
_Item = tuple[tuple[str, ...], int]


def best_constant(train: Sequence[str], val: Sequence[str]) -> int:
    """Which prepared training report, given for every study, has the highest BLEU-4 on the prepared val reports.

    A clipped match is the overlap of two sets once the k-th occurrence of an n-gram counts as an item of its own. So
    one table of how many val reports hold each item gives the matches of any candidate by adding up.
    """
    holders = Counter(item for text in val for _, item in _items(text))
    places = {text: place for place, text in reversed(list(enumerate(train)))}
    words = sum(len(text.split()) for text in val)
    sums = np.array([_sums(text, holders, len(val), words) for text in places])
    return list(places.values())[int(np.argmax(bleu_from_sums(sums)[:, ORDER - 1]))]


def most_frequent(train: Sequence[str]) -> int:
    """Which training report occurs word for word most often; the first of several."""
    return train.index(Counter(train).most_common(1)[0][0])


def random_reports(train: Sequence[str], reports: int, seed: int) -> list[int]:
    """For each of the reports any training report, drawn with replacement."""
    drawn: list[int] = np.random.default_rng([seed, 2]).integers(len(train), size=reports).tolist()
    return drawn


def nearest_reports(train: Floats, test: Floats) -> list[int]:
    """For each row of `test` [R, D] the row of `train` [T, D] with the highest cosine similarity."""
    train, test = _unit(train), _unit(test)
    blocks = (test[start : start + _BLOCK] @ train.T for start in range(0, len(test), _BLOCK))
    nearest: list[int] = np.concatenate([block.argmax(axis=1) for block in blocks]).tolist()
    return nearest


def _items(text: str) -> Iterator[tuple[int, _Item]]:
    """n-1 and (n-gram, k): the k-th time that the text holds the n-gram."""
    words, seen = text.split(), Counter[tuple[str, ...]]()
    for n in range(ORDER):
        for start in range(len(words) - n):
            ngram = tuple(words[start : start + n + 1])
            seen[ngram] += 1
            yield n, (ngram, seen[ngram])


def _sums(text: str, holders: Counter[_Item], reports: int, words: int) -> Floats:
    """The sums of `bleu_from_sums` for the same text against so many val reports with so many words."""
    length = len(text.split())
    guessed = np.maximum(length - np.arange(ORDER), 0) * reports
    matched: Ints = np.zeros(ORDER, dtype=np.int64)
    for n, item in _items(text):
        matched[n] += holders[item]
    return np.array([length * reports, words, *guessed, *matched], dtype=np.float64)


def _unit(features: Floats) -> Floats:
    norm = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(norm == 0, 1, norm)
