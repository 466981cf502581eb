"""Unigram F of equal words and stems: METEOR of 2005 (Banerjee and Lavie, ACL workshop) without synonyms.

It replaces METEOR 1.5 on machines without Java. Its values are far from METEOR 1.5 and are not comparable with
published METEOR scores, so it has another name. F = 10 P R / (R + 9 P), times 1 - 0.5 (chunks / matches)^3. Words are
aligned from the end, as in nltk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from report_gen.metrics.measure import Measure, mean_measure
from report_gen.metrics.pairs import Pairs


def exact_stem(pairs: Pairs) -> Measure:
    """Compute the mean over the reports, 0 to 1."""
    scores = [_score(*words) for words in zip(pairs.predicted_words, pairs.reference_words, strict=True)]
    return mean_measure(["exact+stem F"], np.array(scores, dtype=np.float64)[:, None], "meteor2005,nosynonyms")


@lru_cache(maxsize=2**16)
def stem(word: str) -> str:
    """Return the stem of a word by the Snowball rules for English."""
    return str(_stemmer().stemWord(word))


@cache
def _stemmer() -> Any:
    """Return the stemmer. Its package imports the stemmers of thirty languages, so it is imported at first use."""
    import snowballstemmer  # type: ignore[import-untyped]

    return snowballstemmer.stemmer("english")


def _score(predicted: Sequence[str], referenced: Sequence[str]) -> float:
    aligned = _align(list(map(str.lower, predicted)), list(map(str.lower, referenced)))
    if not aligned:
        return 0.0
    precision, recall = len(aligned) / len(predicted), len(aligned) / len(referenced)
    adjacent = sum(aligned.get(index + 1) == position + 1 for index, position in aligned.items())
    chunks = len(aligned) - adjacent
    return 10 * precision * recall / (recall + 9 * precision) * (1 - 0.5 * (chunks / len(aligned)) ** 3)


def _align(predicted: Sequence[str], referenced: Sequence[str]) -> dict[int, int]:
    """Align positions of the prediction with positions of the reference: equal words first, then equal stems."""
    aligned = _align_equal(enumerate(predicted), enumerate(referenced))
    taken = set(aligned.values())
    left = [(index, stem(word)) for index, word in enumerate(predicted) if index not in aligned]
    free = [(position, stem(word)) for position, word in enumerate(referenced) if position not in taken]
    return aligned | _align_equal(left, free)


def _align_equal(predicted: Iterable[tuple[int, str]], referenced: Iterable[tuple[int, str]]) -> dict[int, int]:
    """Align each word of the prediction, from the last to the first, with the last free equal word of the reference."""
    free: dict[str, list[int]] = {}
    for position, word in referenced:
        free.setdefault(word, []).append(position)
    return {index: free[word].pop() for index, word in reversed(list(predicted)) if free.get(word)}
