"""Rewards of drafts, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from report_gen_training.optimization.rewards import rewards, training_frequencies
from report_gen_training.recipe.schema import ScstRecipe

from report_gen.labeling import chest_xray
from report_gen.metrics import METRICS

REPORTS = [
    "The heart is enlarged. There is a small pleural effusion.",
    "There is a pneumothorax. The heart is enlarged.",
    "The lungs are clear.",
    "No pneumothorax.",
]


def reward(findings: float = 0.0, cider: float = 0.0) -> ScstRecipe:
    return ScstRecipe(weight=1.0, finding_f1_weight=findings, cider_weight=cider)


def test_the_finding_reward_is_the_f1() -> None:
    """Two of two findings; one of two and one false positive; no findings in draft and reference."""
    drafts = [
        "Cardiomegaly and effusion.",
        "The heart is enlarged. There is an effusion.",
        "No pneumothorax.",
    ]
    found = rewards(
        drafts, [REPORTS[0], REPORTS[1], REPORTS[3]], reward(findings=1.0), training_frequencies(REPORTS), chest_xray()
    )
    assert found.tolist() == pytest.approx([1.0, 2 * 1 / (2 * 1 + 1 + 1), 1.0])


def test_the_text_reward_is_cider_d() -> None:
    """With the document frequencies of the references it equals the CIDEr-D of an evaluation."""
    drafts = ["The heart is enlarged.", "There is a pneumothorax.", "The lungs are clear.", ""]
    prepared = [[text.lower().replace(".", " .") for text in side] for side in (drafts, REPORTS)]
    expected = METRICS["report_cider_d"].compute(prepared[0], prepared[1])["CIDEr-D"]
    found = rewards(drafts, REPORTS, reward(cider=1.0), training_frequencies(REPORTS), chest_xray())
    assert float(np.mean(found)) == pytest.approx(expected)
    assert found[2] == found.max()
    assert found[3] == 0


def test_a_reward_is_the_weighted_sum() -> None:
    drafts, frequencies = REPORTS[::-1], training_frequencies(REPORTS)
    findings, words = (
        rewards(drafts, REPORTS, each, frequencies, chest_xray()) for each in (reward(findings=1), reward(cider=1))
    )
    both = rewards(drafts, REPORTS, reward(findings=0.5, cider=2.0), frequencies, chest_xray())
    assert both.tolist() == pytest.approx((0.5 * findings + 2 * words).tolist())


def test_punctuation_and_case_do_not_matter() -> None:
    frequencies = training_frequencies(REPORTS)
    one, other = (
        rewards([text], REPORTS[2:3], reward(cider=1), frequencies, chest_xray()) for text in ("The Lungs", "the lungs")
    )
    assert one == other > 0


def test_a_reward_without_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="scst has no reward; set finding_f1_weight or cider_weight above 0"):
        reward()
