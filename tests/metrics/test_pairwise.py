"""Tests of every two systems: against `compare`, `score_texts` and hand-computed corrections."""

from __future__ import annotations

import numpy as np
import pytest

from report_gen.metrics import JoinedReports, ScoreMethod, compare, compare_pairs, measure_systems, score_texts
from report_gen.metrics.measure import Measure, mean_measure
from report_gen.metrics.pairwise import holm

REFERENCES = ("the lungs are clear", "there is a large effusion", "the heart is enlarged", "no fracture is seen")
DRAFTS = {
    "a": ("the lungs are clear", "there is no effusion", "the heart is enlarged", "no fracture"),
    "b": ("the lungs are clear", "the lungs are clear", "the lungs are clear", "the lungs are clear"),
    "c": ("the heart is enlarged", "there is a large effusion", "the heart is large", "a fracture is seen"),
}
METHOD = ScoreMethod(draws=200, java=False)


def means(seed: int) -> tuple[Measure, ...]:
    return (mean_measure(["x", "y"], np.random.default_rng(seed).random((30, 2)), "test"),)


def test_the_correction_is_that_of_r() -> None:
    # p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") in R
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1, 1]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_each_pair_is_compared_as_by_itself_and_corrected_for_the_pairs_of_its_score() -> None:
    measures = {"a": means(0), "b": means(1), "c": means(2)}
    tests = compare_pairs(measures, ["y", "x"], draws=300, seed=4)
    assert [(test.difference.name, test.first, test.second) for test in tests] == [
        (name, *pair) for name in "yx" for pair in (("a", "b"), ("a", "c"), ("b", "c"))
    ]
    for test in tests:
        expected = {one.name: one for one in compare(measures[test.first], measures[test.second], 300, 4)}
        assert test.difference == expected[test.difference.name]
    of_x = [test for test in tests if test.difference.name == "x"]
    assert [test.holm_bootstrap for test in of_x] == holm([test.difference.p_bootstrap for test in of_x])
    assert [test.holm_randomization for test in of_x] == holm([test.difference.p_randomization for test in of_x])


def test_one_pair_needs_no_correction() -> None:
    for test in compare_pairs({"a": means(0), "b": means(1)}, ["x", "y"], draws=300, seed=0):
        assert test.holm_bootstrap == test.difference.p_bootstrap
        assert test.holm_randomization == test.difference.p_randomization


def test_systems_are_measured_as_by_score() -> None:
    ids = tuple("1234")
    measures = measure_systems(DRAFTS, ids, REFERENCES, METHOD)
    names = [name for measure in measures["a"] for name in measure.names]
    tests = compare_pairs(measures, names, draws=200, seed=0)
    for model, other in (("b", "a"), ("c", "a"), ("c", "b")):
        joined = JoinedReports(ids=ids, predictions=DRAFTS[model], references=REFERENCES, notices=())
        run = score_texts(joined, METHOD, other_systems={other: DRAFTS[other]})
        found = {test.difference.name: test.difference for test in tests if (test.first, test.second) == (other, model)}
        assert {one.name for one in run.comparison} >= {"BLEU-1", "CIDEr-D", "ROUGE-L (coco)"}
        for one in run.comparison:
            assert found[one.name] == one
