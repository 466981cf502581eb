"""Baselines against exhaustive search and cases by hand; diversity and collapse."""

from __future__ import annotations

import numpy as np
import pytest

from report_gen.errors import CorpusError
from report_gen.labeling import chest_xray
from report_gen.metrics import Pairs, diversity_stats, is_collapsed
from report_gen.metrics.baselines import best_constant, most_frequent, nearest_reports, random_reports
from report_gen.metrics.bleu import bleu
from report_gen.metrics.diversity import normalize_text
from report_gen.metrics.training_reports import read_features
from report_gen.records import FindingState

FINDINGS = chest_xray().findings

WORDS = ["no", "pleural", "effusion", ".", "the", "lungs", "are", "clear"]
NORMAL = dict.fromkeys(FINDINGS, FindingState.ABSENT)


def texts(count: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 20))) for _ in range(count)]


def test_the_best_constant_is_that_of_exhaustive_search() -> None:
    train, val = texts(40, 1), texts(25, 2)
    scores = [bleu(Pairs([candidate] * len(val), val)).values[3] for candidate in train]
    assert best_constant(train, val) == int(np.argmax(scores))


def test_most_frequent_random_and_nearest() -> None:
    assert most_frequent(["a", "b", "b", "a", "c"]) == 0
    assert most_frequent(["a", "b", "b"]) == 1
    drawn = random_reports(["a", "b", "c"], 1000, 0)
    assert drawn == random_reports(["a", "b", "c"], 1000, 0)
    assert set(drawn) == {0, 1, 2}
    train = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    assert nearest_reports(train, np.array([[0.1, 5.0], [9.0, 1.0]])) == [1, 0]
    # The cosine decides, not the dot product, which is larger for the first row.
    assert nearest_reports(np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 1.0]])) == [1]


def test_features_are_read_by_id_and_bad_ones_refused(tmp_path) -> None:
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    np.savez(good, ids=np.array(["a", "b"]), features=np.eye(2))
    assert read_features(good)["b"].tolist() == [0, 1]
    np.savez(bad, ids=np.array(["a"]), features=np.eye(2))
    for path, message in ((bad, "one row for each"), (tmp_path / "none.npz", "not an .npz")):
        with pytest.raises(CorpusError, match=message):
            read_features(path)
    bad.write_bytes(b"no archive")
    with pytest.raises(CorpusError, match=r"not an \.npz"):
        read_features(bad)


def diversity(drafts: list[str], train: frozenset[str] | None = None):
    return diversity_stats(drafts, [NORMAL] * len(drafts), train)


def test_diversity_ignores_case_and_punctuation() -> None:
    found = diversity(["Clear. Normal.", "clear . normal .", "effusion ."], frozenset([normalize_text("Effusion.")]))
    assert (found.reports, found.distinct, found.vocabulary) == (3, 2, 3)
    assert found.most_frequent_share == pytest.approx(2 / 3)
    assert found.copied_share == pytest.approx(1 / 3)
    assert found.normal_share == 1
    assert diversity(["clear"]).copied_share is None


def test_a_present_or_uncertain_disease_is_not_normal_and_a_device_is() -> None:
    for name, state, normal in [
        ("Edema", FindingState.PRESENT, 0),
        ("Edema", FindingState.UNCERTAIN, 0),
        ("Support Devices", FindingState.PRESENT, 1),
        ("No Finding", FindingState.PRESENT, 1),
    ]:
        assert diversity_stats(["x"], [{**NORMAL, name: state}]).normal_share == normal


def test_collapse() -> None:
    references = diversity([f"report {number}" for number in range(100)])
    assert is_collapsed(diversity(["clear"] * 100), references)
    assert is_collapsed(diversity([f"draft {number % 4}" for number in range(100)]), references)
    assert is_collapsed(diversity(["clear"] * 60 + [f"draft {number}" for number in range(40)]), references)
    assert not is_collapsed(diversity([f"draft {number % 20}" for number in range(100)]), references)
    assert not is_collapsed(references, references)
    assert not is_collapsed(diversity(["clear"] * 10), diversity(["clear"] * 9 + ["effusion"]))
