"""Accuracy of modality and plane, against cases counted by hand."""

from __future__ import annotations

from report_gen.metrics import AttributePrediction, attribute_measures, count_values
from report_gen.metrics.attribute_scores import Values
from report_gen.records import AttributeName


def truth(modality: str, plane: str = "", body_part: str = "") -> Values:
    return {"modality": modality, "plane": plane, "body_part": body_part}


TRUTHS = [truth("CT", "axial"), truth("MR", "coronal"), truth("CT"), truth("MR", "axial"), truth("")]
REFERENCES = ["Axial CT.", "CT, then MRI.", "CT with coronal views.", "T2, axial.", "CT."]


def predicted(draft: str, **attributes: str) -> AttributePrediction:
    values: dict[AttributeName, str] = {
        name: attributes[name]  # type: ignore[misc]
        for name in ("modality", "plane")
        if name in attributes
    }
    return AttributePrediction(draft=draft, predicted=values)


def values(drafts: list[AttributePrediction]) -> dict[str, float]:
    measures = attribute_measures(TRUTHS, REFERENCES, drafts)
    return {measure.names[0]: float(measure.values[0]) for measure in measures}


def test_by_hand() -> None:
    drafts = [
        predicted("CT in the axial plane.", modality="CT", plane="coronal"),
        predicted("MRI.", modality="MR", plane="coronal"),  # not counted as named: its reference names CT first
        predicted("MRI and CT.", modality="MR", plane="axial"),
        predicted("MRI, sagittal and axial.", modality="MR", plane="axial"),
        predicted("CT.", modality="CT", plane="axial"),
    ]
    assert values(drafts) == {
        "modality named": 2 / 3,
        "modality recognized": 3 / 4,
        "plane named": 1 / 2,
        "plane recognized": 2 / 3,
    }


def test_scores_without_any_study_are_left_out() -> None:
    assert set(values([predicted("CT.")] * 5)) == {"modality named", "plane named"}
    silent = attribute_measures([truth("")] * 2, ["CT."] * 2, [predicted("CT.", modality="CT")] * 2)
    assert silent == ()
    assert count_values([truth("")]) == {}


def test_counts_start_with_the_most_frequent_value() -> None:
    assert count_values([*TRUTHS, truth("MR")]) == {"modality": {"MR": 3, "CT": 2}, "plane": {"axial": 2, "coronal": 1}}
