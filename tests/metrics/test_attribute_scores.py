"""Shares of drafts that name modality and plane right, counted by hand."""

from __future__ import annotations

from report_gen.metrics.attribute_scores import StudyPrediction, Values, attribute_measures, count_values
from report_gen.records.report import AttributeName


def truth(modality: str, plane: str = "", body_part: str = "") -> Values:
    return {"modality": modality, "plane": plane, "body_part": body_part}


TRUTHS = [truth("CT", "axial"), truth("MR", "coronal"), truth("CT"), truth("MR", "axial"), truth("")]
REFERENCES = ["Axial CT.", "CT, then MRI.", "CT with coronal views.", "T2, axial.", "CT."]


def told(draft: str, **seen: str) -> StudyPrediction:
    values: dict[AttributeName, str] = {name: seen[name] for name in ("modality", "plane") if name in seen}  # type: ignore[misc, index]
    return StudyPrediction(draft=draft, seen=values)


def values(drafts: list[StudyPrediction]) -> dict[str, float]:
    measures = attribute_measures(TRUTHS, REFERENCES, drafts)
    return {measure.names[0]: float(measure.values[0]) for measure in measures}


def test_by_hand() -> None:
    drafts = [
        told("CT in the axial plane.", modality="CT", plane="coronal"),
        told("MRI.", modality="MR", plane="coronal"),  # not counted as named: its reference names CT first
        told("MRI and CT.", modality="MR", plane="axial"),
        told("MRI, sagittal and axial.", modality="MR", plane="axial"),
        told("CT.", modality="CT", plane="axial"),
    ]
    assert values(drafts) == {
        "modality named": 2 / 3,
        "modality recognised": 3 / 4,
        "plane named": 1 / 2,
        "plane recognised": 2 / 3,
    }


def test_what_cannot_be_asked_is_left_out() -> None:
    assert set(values([told("CT.")] * 5)) == {"modality named", "plane named"}
    silent = attribute_measures([truth("")] * 2, ["CT."] * 2, [told("CT.", modality="CT")] * 2)
    assert silent == ()
    assert count_values([truth("")]) == {}


def test_counts_put_the_commonest_first() -> None:
    assert count_values([*TRUTHS, truth("MR")]) == {"modality": {"MR": 3, "CT": 2}, "plane": {"axial": 2, "coronal": 1}}
