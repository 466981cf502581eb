"""Bootstrap and tests: resampled sums against rescored reports, and cases with known answers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from report_gen.metrics import Measure, Pairs, compare, rouge_l_coco, seed_spread
from report_gen.metrics.bleu import bleu
from report_gen.metrics.chrf import chrf
from report_gen.metrics.measure import mean_measure
from report_gen.metrics.significance import bootstrap, intervals

REFERENCES = ["the lungs are clear .", "no effusion .", "heart size is normal . no effusion .", "clear"]
PREDICTIONS = ["the lungs are clear .", "an effusion .", "heart is large .", ""]


def means(values: list[float]) -> Measure:
    return mean_measure(["mean"], np.array(values)[:, None], "test")


@pytest.mark.parametrize("measure", [bleu, rouge_l_coco, chrf])
def test_weighted_sums_are_the_score_of_the_resampled_reports(measure) -> None:
    drawn = [0, 0, 2, 3, 3, 1]
    weights = np.bincount(drawn, minlength=4).astype(float)
    whole = measure(Pairs(PREDICTIONS, REFERENCES))
    resampled = measure(Pairs([PREDICTIONS[i] for i in drawn], [REFERENCES[i] for i in drawn]))
    np.testing.assert_allclose(whole.finish(weights @ whole.statistics), resampled.values, atol=1e-12)


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    low, high = intervals(bootstrap([means(list(values))], 4000, 0)[0])[:, 0]
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.005)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(2000), rel=0.06)


def test_draws_are_the_same_for_the_same_seed_and_however_many_measures() -> None:
    one, two = means([0, 1, 5, 3]), means([1, 1, 0, 2])
    alone = bootstrap([one], 50, 3)[0]
    np.testing.assert_array_equal(alone, bootstrap([two, one], 50, 3)[1])
    assert (alone != bootstrap([one], 50, 4)[0]).any()


def test_a_system_does_not_differ_from_itself() -> None:
    measure = bleu(Pairs(PREDICTIONS, REFERENCES))
    for difference in compare([measure], [measure], 200, 0):
        assert difference.interval == (0, 0)
        assert difference.p_bootstrap == difference.p_randomization == 1


def test_a_large_difference_is_found_and_its_direction_is_second_minus_first() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=300)
    second = first + 0.3 + rng.normal(size=300) / 10
    difference = compare([means(list(first))], [means(list(second))], 500, 0)[0]
    assert difference.second - difference.first == pytest.approx(0.3, abs=0.02)
    assert 0.27 < difference.interval[0] < difference.interval[1] < 0.33
    assert difference.p_bootstrap == difference.p_randomization == pytest.approx(1 / 501)


def test_p_values_of_a_seed_stay_the_same_between_versions() -> None:
    """Published p-values can be reproduced only if the random draws of a seed never change."""
    first, second = means([0.1, 0.5, 0.3, 0.9, 0.2, 0.4, 0.8]), means([0.4, 0.6, 0.2, 1.0, 0.5, 0.3, 0.9])
    (difference,) = compare([first], [second], 200, 0)
    assert (round(difference.p_bootstrap * 201), round(difference.p_randomization * 201)) == (18, 39)


def test_randomization_is_the_share_of_all_exchanges() -> None:
    first, second = np.array([0.1, 0.5, 0.3, 0.9, 0.2, 0.4, 0.8]), np.array([0.4, 0.6, 0.2, 1.0, 0.5, 0.3, 0.9])
    gains = second - first
    all_signs = np.array(list(product([1, -1], repeat=7)))
    exact = (np.abs(all_signs @ gains) >= abs(gains.sum()) - 1e-12).mean()
    found = compare([means(list(first))], [means(list(second))], 20_000, 0)[0].p_randomization
    assert found == pytest.approx(exact, abs=0.01)


def test_seeds_are_summarized_by_score() -> None:
    runs = [[("BLEU-4", 0.1), ("CIDEr-D", 1.0)], [("BLEU-4", 0.3), ("CIDEr-D", 1.0)]]
    bleu4, cider = seed_spread(runs)
    assert (bleu4.name, bleu4.mean, bleu4.values) == ("BLEU-4", pytest.approx(0.2), (0.1, 0.3))
    assert bleu4.deviation == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert cider.deviation == 0
    assert seed_spread(runs[:1])[0].deviation == 0
