"""Removal of marks and priors, and the record of every change."""

from __future__ import annotations

from collections import Counter

import pytest

from report_gen.auditing import has_deidentification_mark
from report_gen.corpus_qc import Marks, clean_rows
from report_gen.corpus_qc.clean import Change, clean_row
from tests.corpus_qc.test_check import corpus


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("There are XXXX opacities.", "There are opacities."),
        ("XXXX-year-old male with cough and XXXX.", "Male with cough."),
        ("XXXX and XXXX loss.", "Loss."),
        ("Two views of the chest from XXXX from XXXX.", "Two views of the chest."),
        ("Seen by Dr. ___ (___).", "Seen by Dr."),
        ("Image of [**2101-3-4**] shows an effusion.", "Image of shows an effusion."),
        ("XXXX's heart is large.", "Heart is large."),
        ("XXXX, rib pain.", "Rib pain."),
        ("XXXX XXXX.", ""),
        ("The heart - as such - is x-rayed.", "The heart - as such - is x-rayed."),
    ],
)
def test_stripping(before: str, after: str) -> None:
    (row,) = corpus({"indication": before})
    cleaned, changes = clean_row(row, marks=Marks.STRIP, drop_priors=True)
    assert cleaned["indication"] == after
    assert not has_deidentification_mark(cleaned["indication"])
    assert changes == (
        () if before == after else (Change(section="indication", before=before, after=after, reason="mark"),)
    )


TEXT = "Stable  cardiomegaly. There is an XXXX effusion. The lungs are clear."


@pytest.mark.parametrize(
    ("marks", "drop_priors", "expected"),
    [
        (Marks.STRIP, True, "There is an effusion. The lungs are clear."),
        (Marks.MASK, True, "There is an ___ effusion. The lungs are clear."),
        (Marks.DROP, True, "The lungs are clear."),
        (Marks.DROP, False, "Stable cardiomegaly. The lungs are clear."),
        (Marks.KEEP, True, "There is an XXXX effusion. The lungs are clear."),
        (Marks.KEEP, False, TEXT),
    ],
)
def test_treatments_of_marks_and_priors(marks: Marks, drop_priors: bool, expected: str) -> None:
    (row,) = corpus({"findings": TEXT})
    cleaned, _ = clean_row(row, marks=marks, drop_priors=drop_priors)
    assert cleaned["findings"] == expected


def test_changes_are_recorded_in_the_row_and_counted() -> None:
    rows = corpus(
        {
            "findings": "Stable heart. An XXXX effusion.",
            "comparison": "Compared to a prior study.",
            "impression": "Ok.",
        },
        {"impression": "Unchanged."},
        {"findings": "Clear lungs."},
    )
    tally: Counter[str] = Counter()
    first, second, third = clean_rows(rows, marks=Marks.STRIP, drop_priors=True, tally=tally)
    assert first["removed"] == [
        {"section": "findings", "before": "Stable heart.", "after": "", "reason": "prior"},
        {"section": "findings", "before": "An XXXX effusion.", "after": "An effusion.", "reason": "mark"},
    ]
    assert first["comparison"] == "Compared to a prior study."  # this section is about earlier studies
    assert second["impression"] == ""
    assert third == rows[2]
    assert tally == {
        "studies": 3,
        "studies changed": 2,
        "reports left empty": 1,
        "sentences removed for a prior": 2,
        "sentences changed for a mark": 1,
    }
