"""Clusters of similar texts, against the comparison of every pair; chains, and few items."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from report_gen.corpus_qc.duplicate_clusters import Indices, find_duplicate_clusters
from report_gen.corpus_qc.text_statistics import (
    SIMILARITY_THRESHOLD,
    band_keys,
    compute_signature,
    estimate_similarity,
    fingerprint,
    words_of,
)


def cluster_texts(texts: list[str]) -> Indices:
    """Return the cluster of each text."""
    signatures = np.array([compute_signature(words_of(text)) for text in texts], dtype=np.uint32).reshape(
        len(texts), -1
    )
    return find_duplicate_clusters(
        band_keys(signatures),
        lambda left, right: estimate_similarity(signatures[left], signatures[right]) >= SIMILARITY_THRESHOLD,
    )


def shingles(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[start : start + 3]) for start in range(max(len(words) - 2, 1))}


def jaccard(one: str, other: str) -> float:
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


@pytest.fixture(scope="module")
def reports() -> list[str]:
    """Return 60 reports of 40 words, and of every third a copy with one word changed and a copy of its first half."""
    random = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in random.integers(500, size=40)) for _ in range(60)]
    changed = [text.replace(text.split()[0], "another", 1) for text in texts[::3]]
    halved = [" ".join(text.split()[:20]) for text in texts[::3]]
    return texts + changed + halved


def test_clusters_equal_those_of_all_pairs(reports: list[str]) -> None:
    clusters = cluster_texts(reports)
    pairs = {pair for pair in combinations(range(len(reports)), 2) if clusters[pair[0]] == clusters[pair[1]]}
    assert pairs == {
        (one, other)
        for one, other in combinations(range(len(reports)), 2)
        if jaccard(reports[one], reports[other]) >= SIMILARITY_THRESHOLD
    }
    assert len(pairs) == 20


def test_the_jaccard_similarity_is_estimated(reports: list[str]) -> None:
    whole, half = (np.array([compute_signature(words_of(text))]) for text in (reports[0], reports[80]))
    assert jaccard(reports[0], reports[80]) == pytest.approx(18 / 38)
    assert estimate_similarity(whole, half)[0] == pytest.approx(18 / 38, abs=0.2)  # three standard errors of 64 places


def test_a_chain_is_one_cluster_and_identical_items_are_too() -> None:
    numbers = np.arange(40)
    keys = np.zeros((40, 2), dtype=np.uint64)
    steps = find_duplicate_clusters(keys, lambda left, right: np.abs(numbers[left] - numbers[right]) == 1)
    assert len(set(steps.tolist())) == 1
    apart = find_duplicate_clusters(keys, lambda left, right: numbers[left] % 4 == numbers[right] % 4)
    assert len(set(apart.tolist())) == 4
    assert all(len(set(apart[start::4].tolist())) == 1 for start in range(4))


def test_equal_keys_without_similarity_are_not_a_cluster() -> None:
    keys = np.zeros((5, 3), dtype=np.uint64)
    clusters = find_duplicate_clusters(keys, lambda left, _: np.zeros(len(left), dtype=np.bool_))
    assert len(set(clusters.tolist())) == 5


@pytest.mark.parametrize("count", [0, 1])
def test_few_items(count: int) -> None:
    assert find_duplicate_clusters(
        np.zeros((count, 4), dtype=np.uint64), lambda *_: np.ones(0, dtype=np.bool_)
    ).shape == (count,)


def test_short_texts_are_similar_only_if_they_are_equal() -> None:
    assert len(set(cluster_texts(["Clear.", "clear", "Clear lungs.", "", "No effusion"]).tolist())) == 4


def test_the_same_words_have_the_same_fingerprint() -> None:
    prints = {
        text: fingerprint(" ".join(words_of(text)))
        for text in ("No  effusion.", "no effusion", "No effusions", "effusion no", "", " . ")
    }
    assert prints["No  effusion."] == prints["no effusion"]
    assert prints[""] == prints[" . "] == 0
    assert len(set(prints.values())) == 4
