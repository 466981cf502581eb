"""Unigram F of equal words and stems: METEOR of 2005 (Banerjee and Lavie, ACL workshop) without synonyms.

It replaces METEOR 1.5 on machines without Java. Its values are far from METEOR 1.5 and are not comparable with
published METEOR scores, so it has another name. F = 10 P R / (R + 9 P), times 1 - 0.5 (chunks / matches)^3. Words are
aligned from the end, as in nltk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
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
    matches = sorted(_align([word.lower() for word in predicted], [word.lower() for word in referenced]).items())
    if not matches:
        return 0.0
    precision, recall = len(matches) / len(predicted), len(matches) / len(referenced)
    adjacent = sum((index + 1, position + 1) == following for (index, position), following in pairwise(matches))
    chunks = len(matches) - adjacent
    return 10 * precision * recall / (recall + 9 * precision) * (1 - 0.5 * (chunks / len(matches)) ** 3)


def _align(predicted: Sequence[str], referenced: Sequence[str]) -> dict[int, int]:
    """Align positions of the prediction with positions of the reference: equal words first, then equal stems."""
    aligned: dict[int, int] = {}
    _align_equal(predicted, referenced, aligned)
    _align_equal([stem(word) for word in predicted], [stem(word) for word in referenced], aligned)
    return aligned


def _align_equal(predicted: Sequence[str], referenced: Sequence[str], aligned: dict[int, int]) -> None:
    """Align each unaligned prediction word, from the last to the first, with the last free equal reference word."""
    taken = set(aligned.values())
    free: defaultdict[str, list[int]] = defaultdict(list)
    for position, word in enumerate(referenced):
        if position not in taken:
            free[word].append(position)
    for index in reversed(range(len(predicted))):
        if index not in aligned and free[predicted[index]]:
            aligned[index] = free[predicted[index]].pop()
