"""F1 of labels against figures computed by hand."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from report_gen.metrics import MACRO_F1, LabelScores, render_labels, score_labels
from report_gen.metrics.label_scores import ALL_POSITIVE, MOST_FREQUENT_LABELS

NAMES = ("Edema", "Mass", "Nodule", "Hernia")


def label_sets(*labels: str) -> list[frozenset[str]]:
    return [frozenset(filter(None, one.split("|"))) for one in labels]


TRUTH = label_sets("Edema", "Edema|Mass", "Mass", "")
OWN = label_sets("Edema", "Mass", "Mass", "Nodule")
SHUFFLED = label_sets("Mass", "", "Edema", "")


def scored(own: list[frozenset[str]] = OWN, draws: int = 200) -> LabelScores:
    return score_labels(NAMES, TRUTH, own, {"shuffled": SHUFFLED}, draws=draws, seed=0)


def test_each_label_and_the_mean_over_all() -> None:
    """Edema: 1 hit, 1 missed; Mass: 2 hits; Nodule: 1 invented; Hernia: on neither side, so it counts 0."""
    found = scored()
    assert {one.name: one.value for one in found.scores} == {
        MACRO_F1: pytest.approx((2 / 3 + 1 + 0 + 0) / 4),
        "Edema": pytest.approx(2 / 3),
        "Mass": 1,
        "Nodule": 0,
        "Hernia": 0,
    }
    assert found.support == {"Edema": 2, "Mass": 2, "Nodule": 0, "Hernia": 0}
    assert all(one.interval and one.interval[0] <= one.value <= one.interval[1] for one in found.scores)


def test_controls_and_baselines_are_compared() -> None:
    found = scored()
    assert list(found.against) == ["shuffled", ALL_POSITIVE, MOST_FREQUENT_LABELS]
    firsts = {name: [one.first for one in differences] for name, differences in found.against.items()}
    assert firsts["shuffled"] == [0, 0, 0, 0, 0]
    share = 2 / 4  # of the studies have it: F1 of stating it always is 2p/(1+p)
    always = 2 * share / (1 + share)
    assert firsts[ALL_POSITIVE] == pytest.approx([always / 2, always, always, 0, 0])
    assert firsts[MOST_FREQUENT_LABELS] == pytest.approx(
        [always / 4, 0, always, 0, 0]
    )  # two of four state a mass alone
    assert [one.second for one in found.against["shuffled"]] == [one.value for one in found.scores]


def test_drafts_of_the_same_labels_do_not_differ() -> None:
    (difference, *_) = scored(SHUFFLED).against["shuffled"]
    assert (difference.interval, difference.p_bootstrap) == ((0, 0), 1)


def test_labels_that_do_not_count_change_nothing() -> None:
    with_others = scored([one | {"Fracture"} for one in OWN])
    assert with_others.scores == scored().scores


def test_the_table_has_every_label_and_every_control() -> None:
    console = Console(width=80, file=StringIO())
    console.print(*render_labels("F1", scored()))
    shown = console.file.getvalue()
    assert all(name in shown for name in (*NAMES, MACRO_F1, "0.417", "shuffled", "positive", "frequent"))
    assert "macro F1 over all" in shown
