"""N-gram counts and common subsequences against plain Python."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_gen.metrics import cider, ngrams
from report_gen.metrics.diversity import diversity_stats, normalize_text
from report_gen.metrics.ngrams import count_characters, count_words, hash_words
from report_gen.metrics.rouge import _find_words, common_subsequence

ORDER = 4
words = st.lists(st.sampled_from(["a", "b", "c", "é", ""]), max_size=12)
corpora = st.lists(st.tuples(words, words), max_size=6)


def plain(text, n: int) -> Counter:
    return Counter(tuple(text[start : start + n]) for start in range(len(text) - n + 1))


def assert_counted(pairs, counts) -> None:
    """Each pair has the right counts, and pairs share as many n-gram numbers as they share n-grams."""
    for n, found in enumerate(counts, 1):
        assert found.pairs == len(pairs)
        expected = [(plain(here, n), plain(there, n)) for here, there in pairs]
        for number, (here, there) in enumerate(expected):
            rows = found.pair == number
            got = zip(found.predicted[rows].tolist(), found.referenced[rows].tolist(), strict=True)
            assert sorted(got) == sorted((here[ngram], there[ngram]) for ngram in here | there)
        for one, two in combinations(range(len(pairs)), 2):
            shared = set(found.ngram[found.pair == one]) & set(found.ngram[found.pair == two])
            assert len(shared) == len({*expected[one][0], *expected[one][1]} & {*expected[two][0], *expected[two][1]})


@given(corpora)
def test_words_are_counted_as_by_hand(pairs) -> None:
    assert_counted(pairs, count_words([here for here, _ in pairs], [there for _, there in pairs], ORDER))


@given(corpora)
def test_hashes_count_the_same(pairs) -> None:
    assert_counted(pairs, hash_words([here for here, _ in pairs], [there for _, there in pairs], ORDER))


def test_hashes_are_the_same_in_every_call_and_keep_the_order_of_words() -> None:
    first, other = (hash_words([text.split()], [[]], 2) for text in ("a b c", "c a b"))
    assert set(first[0].ngram) == set(other[0].ngram)
    assert len(set(first[1].ngram) & set(other[1].ngram)) == 1  # "a b"
    (swapped,) = hash_words([["b", "a"]], [[]], 2)[1].ngram
    assert swapped not in first[1].ngram


@given(st.lists(st.tuples(st.text("ab肺", max_size=9), st.text("ab肺", max_size=9)), max_size=4))
def test_characters_are_counted_as_by_hand(pairs) -> None:
    assert_counted(pairs, count_characters([here for here, _ in pairs], [there for _, there in pairs], 6))


@pytest.mark.parametrize(("name", "value"), [("_LARGEST_CODE", 20), ("_CELLS", 4)])
def test_a_vocabulary_or_a_corpus_beyond_the_limits_counts_the_same(
    monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    pairs = [(list("abcabde"), list("abcdef")), ([], ["a"]), (list("fgabc"), list("abca"))]
    monkeypatch.setattr(ngrams, name, value)
    assert_counted(pairs, count_words([here for here, _ in pairs], [there for _, there in pairs], ORDER))


@given(words, words)
def test_the_common_subsequence_is_the_longest(first: list[str], second: list[str]) -> None:
    @cache
    def longest(i: int, j: int) -> int:
        if i == len(first) or j == len(second):
            return 0
        if first[i] == second[j]:
            return 1 + longest(i + 1, j + 1)
        return max(longest(i + 1, j), longest(i, j + 1))

    assert common_subsequence(first, second) == longest(0, 0)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=9))
def test_document_frequencies_are_counted_as_by_hand(pairs) -> None:
    counts = count_words([here for here, _ in pairs], [there for _, there in pairs], ORDER)
    for bits in (1, 2, 22):  # few slots of the hash table: most n-grams share one
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cider, "_SLOT_BITS", bits)
            for n, found in enumerate(counts, 1):
                df, reports = cider._reference_frequencies(found)
                assert reports == len(pairs)
                ngrams_there = [set(plain(there, n)) for _, there in pairs]
                frequencies = Counter(ngram for there in ngrams_there for ngram in there)
                for number, (here, there) in enumerate(pairs):
                    expected = sorted(frequencies[ngram] for ngram in plain(here, n) | plain(there, n))
                    assert sorted(df[found.pair == number].tolist()) == expected


@given(st.lists(st.text(st.sampled_from("aZ09 é.\u0130\u212a\u03a3\ud800\x1c\u00a0-"), max_size=20), max_size=4))
def test_words_and_texts_are_normalized_as_by_hand(texts: list[str]) -> None:
    expected = [re.sub("[^a-z0-9]+", " ", text.lower()).split() for text in texts]
    assert _find_words([text.split() for text in texts]) == expected
    assert [normalize_text(text) for text in texts] == [re.sub("[^a-z0-9]+", "", text.lower()) for text in texts]
    stats = diversity_stats(texts, [{}] * len(texts))
    assert stats.vocabulary == len({word for text in texts for word in re.findall("[a-z0-9]+", text.lower())})
