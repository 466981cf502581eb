"""Verdicts: which end of which interval decides, and at which value."""

from __future__ import annotations

import pytest

from report_gen.metrics import Difference, DiversityStats, ScoreMethod, check_image_use, score_texts
from report_gen.metrics.joining import JoinedReports, notice_empty
from report_gen.metrics.verdicts import casing_notice, check_collapse, check_constant_baseline


def difference(name: str, second: float, interval: tuple[float, float]) -> Difference:
    """A difference of a score from 0.5."""
    return Difference(name=name, first=0.5, second=second, interval=interval, p_bootstrap=0.5, p_randomization=0.5)


def diversity(distinct: int, most_frequent_share: float) -> DiversityStats:
    return DiversityStats(
        reports=100,
        distinct=distinct,
        most_frequent_share=most_frequent_share,
        vocabulary=10,
        normal_share=0.5,
        copied_share=None,
    )


@pytest.mark.parametrize(
    ("interval", "uses_image"),
    [((-0.1, 0.2), False), ((0.0, 0.2), False), ((0.01, 0.2), True), ((-0.2, -0.01), False)],
)
def test_the_lower_end_of_the_interval_decides_on_the_use_of_the_image(
    interval: tuple[float, float], uses_image: bool
) -> None:
    verdicts = check_image_use({"blank": [difference("BLEU-4", 0.6, interval)]}, ["BLEU-4"], against="reports")
    assert bool(verdicts) is not uses_image
    for verdict in verdicts:
        assert verdict.fails
        assert verdict.text == (
            "does not use the image: with blank images no score against the reports is lower beyond noise"
        )


def test_only_headline_scores_and_each_control_by_itself_show_use_of_the_image() -> None:
    higher, equal = difference("BLEU-4", 0.7, (0.1, 0.3)), difference("BLEU-4", 0.5, (0.0, 0.0))
    other = difference("chrF2", 0.7, (0.1, 0.3))
    image_use = {"shuffled": [equal, other], "blank": [higher, other]}
    (verdict,) = check_image_use(image_use, ["BLEU-4"], against="labels")
    assert "with shuffled images" in verdict.text
    assert check_image_use({"blank": [equal, higher]}, ["BLEU-4"], against="labels") == []


@pytest.mark.parametrize(
    ("second", "interval", "text", "fails"),
    [
        (0.4, (-0.2, 0.0), "does not beat the constant report on BLEU-4 (0.400 against 0.500)", True),
        (0.5, (-0.1, 0.1), "does not beat the constant report on BLEU-4 (0.500 against 0.500)", True),
        (0.6, (-0.1, 0.3), "no better than the constant report within noise on BLEU-4 (0.600 against 0.500)", False),
        (0.6, (0.0, 0.2), "no better than the constant report within noise on BLEU-4 (0.600 against 0.500)", False),
    ],
)
def test_the_constant_report(second: float, interval: tuple[float, float], text: str, fails: bool) -> None:
    (verdict,) = check_constant_baseline([difference("BLEU-4", second, interval)])
    assert (verdict.text, verdict.fails) == (text, fails)


def test_a_score_above_the_constant_report_beyond_noise_has_no_verdict() -> None:
    assert check_constant_baseline([difference("BLEU-4", 0.6, (0.01, 0.2))]) == []


def test_the_share_of_the_most_frequent_text_is_part_of_the_verdict_on_collapse() -> None:
    (verdict,) = check_collapse(diversity(4, 0.52), diversity(90, 0.03))
    assert verdict.text == (
        "collapsed: 4 different texts for 100 studies (the references have 90), the most frequent for 52%"
    )
    assert verdict.fails


@pytest.mark.parametrize(
    ("drafts", "collapsed"),
    [((5, 0.1), False), ((4, 0.1), True), ((50, 0.5), True), ((50, 0.49), False)],
)
def test_the_limits_of_collapse(drafts: tuple[int, float], collapsed: bool) -> None:
    assert bool(check_collapse(diversity(*drafts), diversity(100, 0.03))) is collapsed


def test_a_frequent_reference_excuses_a_frequent_draft() -> None:
    assert check_collapse(diversity(50, 0.6), diversity(50, 0.3)) == []
    assert check_collapse(diversity(50, 0.6), diversity(50, 0.29)) != []


@pytest.mark.parametrize(("capitals", "warned"), [(0, True), (1, True), (2, True), (3, False), (4, False)])
def test_different_casing_is_reported_from_a_gap_of_one_half(capitals: int, warned: bool) -> None:
    predictions = ["Clear."] * capitals + ["clear."] * (4 - capitals)
    assert bool(casing_notice(predictions, ["Clear."] * 4)) is warned


def test_empty_texts_have_no_casing() -> None:
    assert casing_notice(["", " "], ["Clear.", "Normal."]) == []
    assert casing_notice(["Clear.", "", "", ""], ["Clear."] * 4) == []
    assert casing_notice(["clear.", "", "", ""], ["Clear."] * 4)[0].startswith("predictions and references are cased")


@pytest.mark.parametrize(
    ("predictions", "references", "notice"),
    [
        (["clear lungs"], ["clear lungs"], "only one report is scored: its CIDEr-D is 0 by definition"),
        (["a b", "c d"], ["a b", "a b"], "all references are equal: CIDEr-D is 0 by definition"),
        (["a b", "c d"], ["a b", "c d"], None),
    ],
)
def test_a_score_that_is_zero_by_definition_is_explained(
    predictions: list[str], references: list[str], notice: str | None
) -> None:
    ids = tuple(map(str, range(len(references))))
    joined = JoinedReports(ids=ids, predictions=tuple(predictions), references=tuple(references), notices=())
    run = score_texts(joined, ScoreMethod(draws=0, java=False))
    assert (run.model["CIDEr-D"].value == 0) is (notice is not None)
    found = [text for text in run.notices if "CIDEr-D is 0" in text]
    assert len(found) == (notice is not None)
    assert all(text.startswith(str(notice)) for text in found)


def test_empty_drafts_are_said_to_score_zero() -> None:
    assert notice_empty(["", " "]) == ["all 2 predictions are empty: every score is 0 by definition"]
    assert notice_empty(["", "a"]) == ["1 of 2 predictions are empty and score 0"]
