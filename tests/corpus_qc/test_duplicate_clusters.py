"""Near duplicates: against every pair by hand, chains, and the ends of the range."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from report_gen.corpus_qc.duplicate_clusters import Places, find_duplicate_clusters
from report_gen.corpus_qc.text_statistics import COMMON, band_keys, fingerprint, share_in_common, sign, words_of


def text_families(texts: list[str]) -> Places:
    signatures = np.array([sign(words_of(text)) for text in texts], dtype=np.uint32).reshape(len(texts), -1)
    return find_duplicate_clusters(
        band_keys(signatures), lambda left, right: share_in_common(signatures[left], signatures[right]) >= COMMON
    )


def runs(text: str) -> set[tuple[str, ...]]:
    words = words_of(text)
    return {tuple(words[start : start + 3]) for start in range(max(len(words) - 2, 1))}


def share(one: str, other: str) -> float:
    return len(runs(one) & runs(other)) / len(runs(one) | runs(other))


@pytest.fixture(scope="module")
def reports() -> list[str]:
    """60 reports of 40 words, and of each third one a copy with one word changed and one with half of the words."""
    random = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in random.integers(500, size=40)) for _ in range(60)]
    changed = [text.replace(text.split()[0], "another", 1) for text in texts[::3]]
    halved = [" ".join(text.split()[:20]) for text in texts[::3]]
    return texts + changed + halved


def test_families_are_those_of_all_pairs(reports: list[str]) -> None:
    clusters = text_families(reports)
    pairs = {pair for pair in combinations(range(len(reports)), 2) if clusters[pair[0]] == clusters[pair[1]]}
    assert pairs == {
        (one, other)
        for one, other in combinations(range(len(reports)), 2)
        if share(reports[one], reports[other]) >= COMMON
    }
    assert len(pairs) == 20


def test_the_share_of_runs_is_estimated(reports: list[str]) -> None:
    whole, half = (np.array([sign(words_of(text))]) for text in (reports[0], reports[80]))
    assert share(reports[0], reports[80]) == pytest.approx(18 / 38)
    assert share_in_common(whole, half)[0] == pytest.approx(18 / 38, abs=0.2)  # three standard errors of 64 places


def test_a_chain_is_one_family_and_identical_items_are_too() -> None:
    numbers = np.arange(40)
    keys = np.zeros((40, 2), dtype=np.uint64)
    steps = find_duplicate_clusters(keys, lambda left, right: np.abs(numbers[left] - numbers[right]) == 1)
    assert len(set(steps.tolist())) == 1
    apart = find_duplicate_clusters(keys, lambda left, right: numbers[left] % 4 == numbers[right] % 4)
    assert len(set(apart.tolist())) == 4
    assert all(len(set(apart[start::4].tolist())) == 1 for start in range(4))


def test_equal_keys_without_likeness_are_no_family() -> None:
    keys = np.zeros((5, 3), dtype=np.uint64)
    clusters = find_duplicate_clusters(keys, lambda left, _: np.zeros(len(left), dtype=np.bool_))
    assert len(set(clusters.tolist())) == 5


@pytest.mark.parametrize("count", [0, 1])
def test_few_items(count: int) -> None:
    assert find_duplicate_clusters(
        np.zeros((count, 4), dtype=np.uint64), lambda *_: np.ones(0, dtype=np.bool_)
    ).shape == (count,)


def test_short_texts_are_alike_only_if_they_are_the_same() -> None:
    assert len(set(text_families(["Clear.", "clear", "Clear lungs.", "", "No effusion"]).tolist())) == 4


def test_the_same_words_have_the_same_fingerprint() -> None:
    prints = {
        text: fingerprint(" ".join(words_of(text)))
        for text in ("No  effusion.", "no effusion", "No effusions", "effusion no", "", " . ")
    }
    assert prints["No  effusion."] == prints["no effusion"]
    assert prints[""] == prints[" . "] == 0
    assert len(set(prints.values())) == 4
