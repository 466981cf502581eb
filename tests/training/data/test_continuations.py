"""How reports go on, counted by hand."""

from __future__ import annotations

from report_gen_training.data import count_continuations

REPORTS = [
    ("a", [2, 10, 11, 12, 3]),
    ("b", [2, 10, 11, 12, 3]),
    ("c", [2, 10, 11, 13, 3]),
    ("d", [2, 10, 11, 12, 13]),
]


def test_the_most_frequent_token_of_enough_patients_follows() -> None:
    found = count_continuations(REPORTS, min_patients=3)
    expected = {(2, 10): 11, (10, 11): 12, (2, 10, 11): 12}  # 12 follows 10, 11 in three of four reports
    assert {tokens: found.next_token(tokens) for tokens in expected} == expected
    assert len(found) == len(expected)
    assert found.next_token([11, 12]) is None  # the end token follows for two patients only


def test_a_patient_with_many_reports_counts_once() -> None:
    reports = [("a", [2, 10, 11, 12, 3])] * 9 + [("b", [2, 10, 11, 13, 3])]
    assert len(count_continuations(reports, min_patients=3)) == 0
    found = count_continuations(reports, min_patients=2)
    assert found.next_token([2, 10]) == 11
    assert found.next_token([10, 11]) is None


def test_reports_without_a_patient_are_not_counted() -> None:
    reports = [("", [2, 10, 11, 3])] * 9
    assert len(count_continuations(reports, min_patients=1)) == 0


def test_a_token_that_is_rarely_right_is_left_out() -> None:
    """Of seven patients, two go on with 20 and the others with five different tokens."""
    reports = [(str(patient), [2, 10, token, 3]) for patient, token in enumerate([20, 20, 21, 22, 23, 24, 25])]
    assert count_continuations(reports, min_patients=1).next_token([2, 10]) is None
    assert count_continuations(reports[:4], min_patients=1).next_token([2, 10]) == 20
