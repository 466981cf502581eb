"""The finding head against labels: a substitute for a drafter whose probabilities follow from the file name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from rich.console import Console

from report_gen.drafting import DraftRequest
from report_gen.evaluation import (
    Evaluation,
    can_score_finding_head,
    evaluate,
    render_evaluation,
    write_calibration,
    write_evaluation,
)
from report_gen.generation import Decoding
from report_gen.labeling import chest_xray
from report_gen.metrics import ScoreMethod
from report_gen.records import ATTRIBUTES, Finding, FindingState, Report, parse_report
from tests.builders import corner_image, write_png

FINDINGS = chest_xray().findings

STUDIES, POSITIVE = 24, 8


class Oracle:
    """Gives Edema 0.9 for the first files and 0.1 for the others. It has no probability of Fracture."""

    reported = frozenset({"Edema", "Pneumonia"})

    def draft_all(
        self, studies: Sequence[DraftRequest], *, decoding: Decoding, blank: bool = False, **_: Any
    ) -> Iterator[Report]:
        for request in studies:
            number = int(request.study.images[0].path.stem)
            edema = 0.3 + number * 1e-9 if blank else 0.9 if number < POSITIVE else 0.1
            yield report({"Edema": edema, "Pneumonia": 0.5})


def report(probabilities: dict[str, float]) -> Report:
    findings = tuple(
        Finding(name=name, state=FindingState.UNKNOWN, probability=probabilities.get(name)) for name in FINDINGS
    )
    provenance: Any = None
    return Report(sections=parse_report("Clear."), findings=findings, notices=(), provenance=provenance)


def rows(folder: Path, labels: dict[str, Any]) -> list[dict[str, Any]]:
    """One image per study; `labels` gives the label of a finding from the number of the study."""
    return [
        {
            "study_id": f"study-{number}",
            "images": [str(write_png(folder / f"{number}.png", corner_image(number % 4)))],
            "view_positions": ["PA"],
            "findings": "",
            "finding_boxes": [],
            **dict.fromkeys(("prior_report", "study_description", "admitting_diagnoses", "indication"), ""),
            **dict.fromkeys(ATTRIBUTES, ""),
            "labels": [labels[name](number) if name in labels else None for name in FINDINGS],
        }
        for number in range(STUDIES)
    ]


@pytest.fixture
def result(tmp_path: Path) -> Evaluation:
    known = {
        "Edema": lambda n: float(n < POSITIVE),
        "Fracture": lambda n: float(n < POSITIVE),
        "Pneumonia": lambda n: None,
    }
    return evaluated(rows(tmp_path, known))


def evaluated(studies: list[dict[str, Any]]) -> Evaluation:
    oracle: Any = Oracle()
    method = ScoreMethod(draws=100, java=False)
    return evaluate(oracle, studies, decoding=Decoding(), method=method, track=lambda items, *_: items)


def test_own_images_rank_studies_correctly_and_others_do_not(result: Evaluation) -> None:
    head = result.finding_head
    assert head is not None
    assert head["mean AUROC, 1 findings"].value == head["Edema AUROC"].value == 1
    assert list(head.support) == ["Edema"]  # Fracture has no probability, Pneumonia no label
    assert (head.support["Edema"].studies, head.support["Edema"].positive) == (STUDIES, POSITIVE)
    assert head["Edema Brier"].value == pytest.approx(0.01)
    assert head["Edema ECE"].value == head["all findings ECE"].value == pytest.approx(0.1)
    blank, shuffled = head.image_use["blank"], head.image_use["shuffled"]
    assert (blank.first, blank.second) == (0.5, 1)  # differences in the last digits are no ranking
    assert shuffled.first < 0.8
    assert blank.interval[0] > 0 < shuffled.interval[0]


def test_the_table_and_the_json_file_agree(result: Evaluation, tmp_path: Path) -> None:
    console = Console(width=80, file=StringIO())
    console.print(render_evaluation(result))
    shown = console.file.getvalue()
    assert "The finding head against the labels; mean AUROC, 1 findings" in shown
    assert "Edema             8/24  1.000  1.000 to 1.000  0.100" in shown
    assert "The finding head with blank images" in shown
    write_evaluation(result, tmp_path / "out.json")
    head = json.loads((tmp_path / "out.json").read_text())["finding_head"]
    assert head["image_use"]["blank"]["second"] == 1
    assert head["probabilities"]["study-0"] == {"Edema": 0.9}
    assert head["scores"][0]["name"] == "mean AUROC, 1 findings"


def test_the_reliability_diagram_is_a_reproducible_image(result: Evaluation, tmp_path: Path) -> None:
    assert result.finding_head is not None
    write_calibration(result.finding_head, tmp_path / "a" / "one.png")
    write_calibration(result.finding_head, tmp_path / "two.png")
    first = (tmp_path / "a" / "one.png").read_bytes()
    assert first == (tmp_path / "two.png").read_bytes()
    image = PIL.Image.open(BytesIO(first))
    assert image.format == "PNG"
    assert np.unique(np.asarray(image)).size > 10


def test_without_labels_of_reported_findings_there_is_no_head_score(tmp_path: Path) -> None:
    oracle: Any = Oracle()
    unlabeled = rows(tmp_path, {"Fracture": lambda n: float(n < POSITIVE)})
    assert not can_score_finding_head(oracle.reported, unlabeled, chest_xray())
    assert evaluated(unlabeled).finding_head is None
    assert can_score_finding_head(oracle.reported, rows(tmp_path, {"Edema": lambda _: 0.0}), chest_xray())


def test_labels_of_one_class_have_a_calibration_error_and_no_auroc(tmp_path: Path) -> None:
    head = evaluated(rows(tmp_path, {"Edema": lambda _: 0.0})).finding_head
    assert head is not None
    assert not any("AUROC" in score.name for score in head.scores)
    assert head.image_use == {}
    assert head["Edema ECE"].value == pytest.approx((POSITIVE * 0.9 + (STUDIES - POSITIVE) * 0.1) / STUDIES)
