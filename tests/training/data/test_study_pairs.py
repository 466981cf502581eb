"""Pairs of consecutive studies of one patient."""

from __future__ import annotations

from report_gen_training.data import StudyPair, pair_studies


def test_consecutive_studies_of_a_patient_are_paired() -> None:
    studies = [("b", "b_001"), ("a", "a_010"), ("", "x_001"), ("b", "b_000"), ("", "x_002"), ("a", "a_002")]
    studies += [("a", "a_003"), ("c", "c_000")]
    pairs = pair_studies({"patient_id": patient, "study_id": study} for patient, study in studies)
    assert sorted(pairs) == [StudyPair("a", 5, 6), StudyPair("a", 6, 1), StudyPair("b", 3, 0)]
