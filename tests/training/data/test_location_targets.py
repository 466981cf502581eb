"""Targets of the location head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.data.corpus_study import CorpusStudy, unknown_labels
from report_gen_training.data.location_targets import location_targets

from report_gen.corpora import FindingBox
from report_gen.labeling import chest_xray
from report_gen.records import LOCATION_PARTS, FindingLocation, Side, ViewPosition, Zone, location_to_parts

SCHEMA = chest_xray()
EFFUSION, HEART = "Pleural Effusion", "Cardiomegaly"
LEFT_BASE = FindingBox(EFFUSION, left=0.6, top=0.6, right=0.9, bottom=0.9)


def study(*boxes: FindingBox, views: tuple[ViewPosition, ...] = (ViewPosition.PA,), **changes: Any) -> CorpusStudy:
    values: dict[str, Any] = {
        "study_id": "1",
        "patient_id": "1",
        "split": "train",
        "images": (Path("a.png"),) * len(views),
        "views": views,
        "indication": "",
        "sections": (),
        "labels": unknown_labels(SCHEMA),
        "targets": unknown_labels(SCHEMA),
        "boxes": boxes,
    }
    return CorpusStudy(**values | changes)


def targets(given: CorpusStudy, finding: str = EFFUSION, **reported: FindingLocation) -> str:
    """Return the known parts of a finding, those with the target 0 in brackets."""
    stated = np.zeros((len(SCHEMA.findings), len(LOCATION_PARTS)), dtype=np.bool_)
    for name, location in reported.items():
        stated[SCHEMA.index(name.replace("_", " "))] = location_to_parts(location)
    row = location_targets(given, stated, SCHEMA)[SCHEMA.index(finding)]
    known = [(part, value) for part, value in zip(LOCATION_PARTS, row, strict=True) if not np.isnan(value)]
    return " ".join(str(part) if value else f"({part})" for part, value in known)


def test_boxes_give_all_parts() -> None:
    assert targets(study(LEFT_BASE)) == "(right) left (upper) (mid) lower"
    assert targets(study(LEFT_BASE, LEFT_BASE._replace(left=0.1, right=0.4))) == "right left (upper) (mid) lower"
    assert targets(study(LEFT_BASE), "Edema") == ""


def test_a_finding_of_the_midline_has_no_parts() -> None:
    assert targets(study(FindingBox(HEART, 0.3, 0.4, 0.8, 0.8)), HEART) == ""


def test_a_report_completes_what_the_boxes_leave_unknown() -> None:
    right_base = FindingLocation(Side.RIGHT, frozenset({Zone.LOWER}))
    assert targets(study(), Pleural_Effusion=right_base) == "right (left) (upper) (mid) lower"
    assert targets(study(), Pleural_Effusion=FindingLocation(Side.BOTH)) == "right left"
    assert targets(study(LEFT_BASE), Pleural_Effusion=right_base) == "(right) left (upper) (mid) lower"


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ((ViewPosition.LATERAL,), ""),
        ((ViewPosition.UNKNOWN,), "(right) left (upper) (mid) lower"),
        ((ViewPosition.AP,), "(right) left (upper) (mid) lower"),
    ],
)
def test_boxes_in_other_views_have_no_side(views: tuple[ViewPosition, ...], expected: str) -> None:
    assert targets(study(LEFT_BASE, views=views)) == expected


def test_a_report_without_images_trains_no_location() -> None:
    assert targets(study(views=()), Pleural_Effusion=FindingLocation(Side.LEFT)) == ""
