"""Finding scores against averages computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from report_gen.labeling import chest_xray
from report_gen.metrics import Measure, average_name, finding_measures, label_name, label_reports
from report_gen.metrics.finding_scores import is_normal, support
from report_gen.metrics.significance import bootstrap
from report_gen.records import FindingState

CHEXPERT = chest_xray().subsets["chexpert"]
CHEXPERT_FIVE = chest_xray().subsets["chexpert_five"]

P, U = FindingState.PRESENT, FindingState.UNCERTAIN
EDEMA, FRACTURE, PNEUMONIA = "Edema", "Fracture", "Pneumonia"
REFERENCES = [{EDEMA: P}, {EDEMA: P, FRACTURE: P}, {EDEMA: U}, {}]
PREDICTIONS = [{EDEMA: P}, {EDEMA: P, PNEUMONIA: P}, {}, {}]


def scores(predicted=PREDICTIONS, referenced=REFERENCES) -> dict[str, float]:
    measures = finding_measures(predicted, referenced)
    return {name: value for one in measures for name, value in zip(one.names, one.values.tolist(), strict=True)}


# Uncertain as positive: Edema 2 hits, 1 missed; Fracture 1 missed; Pneumonia 1 invented.
# Over the five of CheXpert only Edema counts.
@pytest.mark.parametrize(
    ("average", "count", "policy", "precision", "recall", "f1"),
    [
        ("micro", 14, "uncertain+", 2 / 3, 2 / 4, 4 / 7),
        ("micro", 5, "uncertain+", 1, 2 / 3, 4 / 5),
        ("micro", 14, "uncertain-", 2 / 3, 2 / 3, 2 / 3),
        ("macro", 14, "uncertain+", 1 / 3, 2 / 9, 4 / 15),
        ("macro", 5, "uncertain-", 1, 1, 1),
        ("per-report", 14, "uncertain+", (1 + 1 / 2 + 0 + 1) / 4, (1 + 1 / 2 + 0 + 1) / 4, (1 + 1 / 2 + 0 + 1) / 4),
        ("per-report", 14, "uncertain-", (1 + 1 / 2 + 1 + 1) / 4, (1 + 1 / 2 + 1 + 1) / 4, (1 + 1 / 2 + 1 + 1) / 4),
        ("weighted", 14, "uncertain+", 3 / 4, 2 / 4, 3 / 5),
        ("weighted", 14, "uncertain-", 2 / 3, 2 / 3, 2 / 3),
    ],
)
def test_averages(average: str, count: int, policy: str, precision: float, recall: float, f1: float) -> None:
    found = scores()
    names = [average_name(average, statistic, count, policy) for statistic in ("precision", "recall", "F1")]
    assert [found[name] for name in names] == pytest.approx([precision, recall, f1])


def test_each_finding_and_its_support() -> None:
    found = scores()
    assert found[label_name(EDEMA, "recall", "uncertain+")] == pytest.approx(2 / 3)
    assert found[label_name(EDEMA, "F1", "uncertain-")] == 1
    assert found[label_name(FRACTURE, "recall", "uncertain+")] == 0
    assert support(REFERENCES, uncertain=True)[EDEMA] == 3
    assert support(REFERENCES, uncertain=False)[EDEMA] == 2
    assert tuple(support(REFERENCES, uncertain=True)) == CHEXPERT
    assert set(CHEXPERT_FIVE) < set(CHEXPERT)


def test_scores_have_their_own_names_and_are_resampled_like_all_others() -> None:
    measures = finding_measures(PREDICTIONS, REFERENCES)
    names = [name for measure in measures for name in measure.names]
    assert len(names) == len(set(names)) == 2 * (4 * 2 * 3 + 14 * 3)
    for measure, drawn in zip(measures, bootstrap(measures, 20, 0), strict=True):
        assert drawn.shape == (20, len(measure.names))
        assert ((drawn >= 0) & (drawn <= 1)).all()
    other = finding_measures(PREDICTIONS, REFERENCES, labeler="CheXbert")
    assert other[0].names[0] == f"CheXbert {measures[0].names[0]}"
    assert "chexbert" in other[0].variant.lower()


def test_a_resampled_corpus_scores_as_if_it_were_scored_itself() -> None:
    drawn = [1, 1, 2, 0]
    whole = finding_measures(PREDICTIONS, REFERENCES)
    again = finding_measures([PREDICTIONS[i] for i in drawn], [REFERENCES[i] for i in drawn])
    weights = np.bincount(drawn, minlength=4).astype(float)

    def drawn_values(measure: Measure) -> np.ndarray:
        return measure.finish(weights @ measure.statistics)

    for one, two in zip(whole, again, strict=True):
        np.testing.assert_allclose(drawn_values(one), two.values, atol=1e-12)


def test_equal_texts_are_labeled_once() -> None:
    labeled = []

    def labeler(text: str) -> dict[str, FindingState]:
        labeled.append(text)
        return {}

    assert len(label_reports(["a", "b", "a"], labeler)) == 3
    assert labeled == ["a", "b"]


def test_normal_means_no_disease() -> None:
    assert is_normal({"Edema": FindingState.ABSENT, "Support Devices": P, "No Finding": P})
    assert not is_normal({"Edema": U})
