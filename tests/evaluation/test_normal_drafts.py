"""Normal drafts of normal and of abnormal studies."""

from __future__ import annotations

import pytest

from report_gen.evaluation.normal_drafts import DraftShare, NormalDrafts, count_normal_drafts
from report_gen.labeling import NO_FINDINGS, chest_xray, load_schema
from report_gen.records import FindingState

NORMAL, ABNORMAL = {"No Finding": FindingState.PRESENT}, {"No Finding": FindingState.ABSENT}


def test_drafts_are_counted_by_the_label_of_their_study() -> None:
    labels = [NORMAL, NORMAL, NORMAL, ABNORMAL, ABNORMAL, {}]
    drafts = [
        "The lungs are clear. No pleural effusion.",
        "Possible pneumonia.",  # an uncertain finding is stated
        "A pacemaker is seen. The heart is normal in size.",
        "Emphysema.",  # outside the 14 findings of CheXpert
        "",  # no report at all
        "Pleural effusion.",
    ]
    counted = count_normal_drafts(labels, drafts, chest_xray())
    assert counted == NormalDrafts(
        normal=DraftShare(studies=3, normal_drafts=2), abnormal=DraftShare(studies=2, normal_drafts=0)
    )


def test_without_both_kinds_of_study_there_is_nothing_to_count() -> None:
    assert count_normal_drafts([NORMAL, NORMAL], ["", ""], chest_xray()) is None
    assert count_normal_drafts([{}, ABNORMAL], ["", ""], chest_xray()) is None
    assert count_normal_drafts([NORMAL, ABNORMAL], ["", ""], load_schema(NO_FINDINGS)) is None


def test_the_interval_is_that_of_wilson() -> None:
    """The interval of 8 of 10 by Wilson, see Newcombe (Stat Med 1998): 0.490 to 0.943."""
    assert DraftShare(studies=10, normal_drafts=8).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
