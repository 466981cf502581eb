"""Degrees of findings, against sentences graded by hand."""

from __future__ import annotations

import pytest

from report_gen.labeling import Degree, chest_xray, find_graded_mentions, finding_labeler

LABELER = finding_labeler(chest_xray())
SMALL, MODERATE, LARGE = Degree


@pytest.mark.parametrize(
    ("sentence", "degrees"),
    [
        ("Tiny left pleural effusion.", {SMALL}),
        ("There may be a small pleural effusion.", {SMALL}),
        ("Small-to-moderate pleural effusion.", {SMALL, MODERATE}),
        ("Large left and small right pleural effusions.", {LARGE, SMALL}),
        ("A large amount of pleural effusion.", {LARGE}),
        ("Moderate-sized pleural effusion.", {MODERATE}),
        ("The pleural effusion is large.", {LARGE}),
        ("The pleural effusion on the left is still small to moderate in size.", {SMALL, MODERATE}),
        ("Pleural effusion, small.", {SMALL}),
        ("Pleural effusion (moderate).", {MODERATE}),
        ("No large effusion.", {LARGE}),
        ("Pleural effusion.", set()),
        ("Larger pleural effusion.", set()),
        ("Small bowel is dilated above a pleural effusion.", set()),
        ("Small bowel effusion.", set()),
        ("Mild scoliosis and pleural effusion.", set()),
        ("Severe cough, pleural effusion.", set()),
        ("The pleural effusion is unchanged with a large heart.", set()),
    ],
)
def test_degrees_of_an_effusion(sentence: str, degrees: set[Degree]) -> None:
    (found,) = (one for one in find_graded_mentions(sentence, LABELER) if one.mention.finding == "Pleural Effusion")
    assert found.degrees == degrees


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Mild cardiomegaly and pleural effusion.", {"Cardiomegaly": {SMALL}, "Pleural Effusion": set()}),
        ("Cardiomegaly, small nodule.", {"Cardiomegaly": set(), "Lung Lesion": {SMALL}}),
        ("Severe emphysema with a small effusion.", {"Emphysema": {LARGE}, "Pleural Effusion": {SMALL}}),
        ("The heart is moderately enlarged.", {"Cardiomegaly": {MODERATE}}),
        ("Heart size is mildly to moderately enlarged.", {"Cardiomegaly": {SMALL, MODERATE}}),
    ],
)
def test_each_finding_has_its_own_degrees(sentence: str, expected: dict[str, set[Degree]]) -> None:
    found = {one.mention.finding: set(one.degrees) for one in find_graded_mentions(sentence, LABELER)}
    assert found == expected
