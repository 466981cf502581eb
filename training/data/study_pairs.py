"""Find pairs of consecutive studies of one patient in a corpus of images, which show how findings change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple


class StudyPair(NamedTuple):
    """Two consecutive studies of a patient, by their indices."""

    patient: str
    prior: int
    present: int


def pair_studies(rows: Iterable[Mapping[str, Any]]) -> list[StudyPair]:
    """Return each study with the study of the same patient before it.

    Args:
        rows: Rows of corpora with patient ids. The studies of a patient are in the order of their study ids, as in
            ChestX-ray14, whose ids end with the number of the follow-up. Dates are not needed.
    """
    by_patient: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for index, row in enumerate(rows):
        if row["patient_id"]:
            by_patient[row["patient_id"]].append((row["study_id"], index))
    pairs = []
    for patient, studies in by_patient.items():
        ordered = [index for _, index in sorted(studies)]
        pairs += [StudyPair(patient, *pair) for pair in pairwise(ordered)]
    return pairs
