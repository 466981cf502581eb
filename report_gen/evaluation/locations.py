"""Score where drafts locate findings, against the boxes of a corpus: attention of the model, stated side and zones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from report_gen.corpora import FindingBox, location_of_boxes
from report_gen.evaluation.rows import Row
from report_gen.labeling import finding_labeler
from report_gen.metrics import (
    BoxedFinding,
    LocatedFinding,
    LocationRun,
    PlacedMap,
    Rectangle,
    ScoreMethod,
    mean_box_map,
    score_locations,
)
from report_gen.records import FindingAttention, FindingSchema, Report, Study, ViewPosition

BoxesByFinding = Mapping[str, Sequence[Sequence[Rectangle]]]
"""Boxes of each image that has boxes, by finding."""


@dataclass(frozen=True)
class AttentionCollector:
    """Keeps the attention of findings with boxes while their studies are drafted.

    Args:
        boxed: Names of the findings with boxes by study; the attention of other studies and findings is not kept.
    """

    boxed: Mapping[str, frozenset[str]]
    kept: dict[str, FindingAttention] = field(default_factory=dict)
    """By study."""

    def __call__(self, study: Study, attention: FindingAttention) -> None:
        """Keep the attention of a study."""
        if findings := self.boxed.get(study.name):
            weights = {name: one for name, one in attention.weights.items() if name in findings}
            self.kept[study.name] = FindingAttention(image=attention.image, square=attention.square, weights=weights)


def boxed_findings(rows: Iterable[Row], reported: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return by study the findings that have boxes in a frontal image and whose probability the model reports."""
    names = frozenset(reported)
    found = {row["study_id"]: frozenset(box.finding for box in _frontal_boxes(row)) & names for row in rows}
    return {study: findings for study, findings in found.items() if findings}


def training_boxes(corpus: Iterable[Row], rows: Sequence[Row]) -> BoxesByFinding:
    """Collect the boxes of the train split by finding, without those of patients among the `rows` to be drafted."""
    drafted = {_patient(row) for row in rows}
    boxes: dict[str, list[list[Rectangle]]] = {}
    for row in corpus:
        if row["split"] == "train" and _patient(row) not in drafted:
            by_image: dict[tuple[str, int], list[Rectangle]] = {}
            for box in _frontal_boxes(row):
                by_image.setdefault((box.finding, box.image), []).append(_rectangle(box))
            for (finding, _), rectangles in by_image.items():
                boxes.setdefault(finding, []).append(rectangles)
    return boxes


def score_boxes(
    rows: Sequence[Row],
    drafts: Mapping[str, Sequence[Report]],
    attention: Mapping[str, AttentionCollector],
    training: BoxesByFinding,
    *,
    own: str,
    method: ScoreMethod,
) -> LocationRun | None:
    """Compute every score of the locations of the findings that have boxes.

    A pair is a finding with boxes in the image over which the model reports its attention: the first image of the study
    that the model gets. Findings without boxes are not scored, because they may be present all the same.

    Args:
        rows: S studies.
        drafts: Reports [S] by the images from which they are drafted.
        attention: Attention by the images from which it is computed.
        training: Boxes of training studies from `training_boxes`.
        own: Name of the studies' own images in `drafts` and `attention`; all others are controls.
        method: Gives the schema, the number of draws and the seed.

    Returns:
        None if no finding whose attention is known has boxes.
    """
    indices, boxed = [], []
    for index, row in enumerate(rows):
        if (known := attention[own].kept.get(row["study_id"])) is not None:
            for pair in _pairs(row, known, method.schema):
                indices.append(index)
                boxed.append(pair)
    located = {
        images: [
            _located(reports[index], pair, attention[own].kept[pair.study], attention[images].kept.get(pair.study))
            for index, pair in zip(indices, boxed, strict=True)
        ]
        for images, reports in drafts.items()
    }
    of_own = located.pop(own)
    centers = {finding: mean_box_map(boxes) for finding, boxes in training.items()}
    return score_locations(boxed, of_own, located, centers, draws=method.draws, seed=method.seed)


def _pairs(row: Row, attention: FindingAttention, schema: FindingSchema) -> Iterator[BoxedFinding]:
    """Yield the findings of a study with boxes in the image of its attention."""
    unlocated = finding_labeler(schema).vocabulary.unlocated
    path = str(attention.image.path)
    boxes = [box for box in _frontal_boxes(row) if row["images"][box.image] == path]
    for finding in dict.fromkeys(box.finding for box in boxes if box.finding in attention.weights):
        of_finding = [box for box in boxes if box.finding == finding]
        yield BoxedFinding(
            study=row["study_id"],
            patient="/".join(_patient(row)),
            finding=finding,
            boxes=tuple(map(_rectangle, of_finding)),
            location=location_of_boxes(of_finding, paired=finding not in unlocated),
        )


def _located(
    report: Report, pair: BoxedFinding, own: FindingAttention, shown: FindingAttention | None
) -> LocatedFinding:
    """Return where a draft locates a finding. Without attention, as for a black image, its map is constant."""
    extent, weights = Rectangle(*own.square), np.ones_like(own.weights[pair.finding])
    if shown is not None:
        extent, weights = Rectangle(*shown.square), shown.weights[pair.finding]
    location = next(finding.location for finding in report.findings if finding.name == pair.finding)
    return LocatedFinding(attention=PlacedMap(weights=weights, extent=extent), location=location)


def _frontal_boxes(row: Row) -> Iterator[FindingBox]:
    """Yield the boxes in frontal images, and in images of unknown view: other views have no side and other zones."""
    for columns in row["finding_boxes"]:
        box = FindingBox(**columns)
        view = ViewPosition(row["view_positions"][box.image])
        if view.may_be_frontal:
            yield box


def _rectangle(box: FindingBox) -> Rectangle:
    return Rectangle(box.left, box.top, box.right, box.bottom)


def _patient(row: Row) -> tuple[str, str]:
    """Return what identifies the patient of a study: the patient id, or the study if the patient is unknown."""
    return row["patient_id"], "" if row["patient_id"] else row["study_id"]
