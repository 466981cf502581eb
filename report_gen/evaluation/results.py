"""The results of an evaluation: the record, its JSON file and its reliability diagram."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from report_gen.errors import StudyError
from report_gen.evaluation.normal_drafts import NormalDrafts
from report_gen.files import write_atomically
from report_gen.metrics import (
    ALL_FINDINGS,
    ATTENTION_SCORES,
    CALIBRATION_BINS,
    ECE,
    MACRO_F1,
    SCHEMA_VERSION,
    Difference,
    HeadRun,
    LabelScores,
    LocationRun,
    ScoreRun,
    Verdict,
    average_name,
    check_image_use,
    run_to_dict,
)
from report_gen.records import AttributeName, FindingSchema
from report_gen.rendering.figures import Reliability, draw_reliability

LABEL_POLICY = "uncertain-"
"""Labels are present or absent, so an uncertain mention in a draft does not state the finding."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of a model's drafts of a corpus."""

    schema: FindingSchema
    """The findings of the scores."""
    drafts: Mapping[str, str]
    """Draft from the study's own images, by study id."""
    refused: tuple[StudyError, ...]
    """Errors of the studies that were left out because their images cannot be read."""
    label_support: Mapping[str, int]
    """Number of studies with each finding, by the labels of the corpus."""
    labels: Mapping[str, tuple[Difference, ...]]
    """Finding scores against the labels: own minus control images, by the name of the control; empty without labels."""
    nih_labels: LabelScores | None
    """F1 of the labels of ChestX-ray14 that the drafts state; None for other corpora."""
    normal_drafts: NormalDrafts | None
    """Normal drafts of normal and of abnormal studies; None if the corpus does not label both."""
    attribute_support: Mapping[AttributeName, Mapping[str, int]]
    """Number of studies by attribute and value, as the corpus gives them."""
    attributes: Mapping[str, tuple[Difference, ...]]
    """Attribute scores: own minus control images, by the name of the control; empty without attributes."""
    finding_head: HeadRun | None
    """Scores of the finding head; None if the corpus labels no finding that the head was trained on."""
    locations: LocationRun | None
    """Scores of the locations of findings against boxes; None if no finding that the model reports has a box."""
    reports: ScoreRun | None
    """Scores of the drafts against the reports; None if the corpus has no reports."""
    without_draft: tuple[StudyError, ...] = ()
    """Errors of the studies for which the model wrote no report, and whose drafts are empty."""

    @property
    def distinct(self) -> int:
        """Number of distinct drafts."""
        return len(set(self.drafts.values()))

    @property
    def most_frequent_share(self) -> float:
        """Share of the most frequent draft, 0 to 1."""
        return max(Counter(self.drafts.values()).values()) / len(self.drafts)

    @property
    def averages(self) -> tuple[str, ...]:
        """Names of the averaged finding scores against the labels; none for a schema without findings."""
        sizes = list(self.schema.scored_sets)[:1]  # all scored findings
        return tuple(
            average_name(average, "F1", size, LABEL_POLICY) for size in sizes for average in ("macro", "micro")
        )

    @property
    def verdicts(self) -> list[Verdict]:
        """Verdicts on the use of the image by the labels; verdicts by the reports are part of `reports`."""
        verdicts = check_image_use(self.labels, self.averages, against="labels")
        if self.nih_labels is not None:
            controls = {name: self.nih_labels.against[name] for name in self.labels}
            verdicts += check_image_use(controls, (MACRO_F1,), against="labels of ChestX-ray14")
        if self.locations is not None:
            controls = {name: differences for name, differences in self.locations.image_use.items() if differences}
            verdicts += check_image_use(controls, ATTENTION_SCORES, against="boxes")
        return verdicts


def write_evaluation(evaluation: Evaluation, path: Path) -> None:
    """Write all scores and the drafts as JSON.

    Raises:
        OutputError: The file cannot be written.
    """
    document = {"schema_version": SCHEMA_VERSION, **evaluation_to_dict(evaluation)}
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def evaluation_to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Convert all scores and the drafts to JSON values."""
    return {
        "finding_schema": evaluation.schema.name,
        "studies": len(evaluation.drafts),
        "refused": [str(error) for error in evaluation.refused],
        "without_draft": [str(error) for error in evaluation.without_draft],
        "distinct_drafts": evaluation.distinct,
        "most_frequent_share": evaluation.most_frequent_share,
        "label_support": evaluation.label_support,
        "labels": _by_control_and_name(evaluation.labels),
        "nih_labels": None if evaluation.nih_labels is None else asdict(evaluation.nih_labels),
        "normal_drafts": _describe_normal_drafts(evaluation.normal_drafts),
        "attribute_support": evaluation.attribute_support,
        "attributes": _by_control_and_name(evaluation.attributes),
        "finding_head": None if evaluation.finding_head is None else asdict(evaluation.finding_head),
        "locations": None if evaluation.locations is None else asdict(evaluation.locations),
        "reports": None if evaluation.reports is None else run_to_dict(evaluation.reports),
        "verdicts": [asdict(verdict) for verdict in evaluation.verdicts],
        "drafts": evaluation.drafts,
    }


def write_calibration(head: HeadRun, path: Path) -> None:
    """Draw reliability diagrams of all findings and of each with enough positive studies, as PNG.

    Raises:
        OutputError: The file cannot be written.
    """
    probabilities = {name: [row[name] for row in head.probabilities.values() if name in row] for name in head.support}
    pooled = _diagram(head, ALL_FINDINGS, [value for values in probabilities.values() for value in values])
    single = [
        _diagram(head, name, probabilities[name])
        for name, support in head.support.items()
        if support.positive >= CALIBRATION_BINS
    ]
    caption = (
        f"{len(head.probabilities)} studies; {ECE}: expected calibration error, {CALIBRATION_BINS} bins of equal mass; "
        "lines: 95%"
    )
    write_atomically(path, draw_reliability(pooled, single, caption=caption))


def _describe_normal_drafts(counted: NormalDrafts | None) -> dict[str, Any] | None:
    if counted is None:
        return None
    shares = {"normal": counted.normal, "abnormal": counted.abnormal}
    return {name: asdict(one) | {"share": one.share, "interval": one.interval} for name, one in shares.items()}


def _by_control_and_name(differences: Mapping[str, Iterable[Difference]]) -> dict[str, dict[str, Any]]:
    return {control: {one.name: asdict(one) for one in scores} for control, scores in differences.items()}


def _diagram(head: HeadRun, name: str, probabilities: list[float]) -> Reliability:
    support = f", {head.support[name].positive} of {head.support[name].studies}" if name in head.support else ""
    error = f"{ECE} {head[f'{name} {ECE}'].value:.3f}, by chance {head.error_by_chance[name]:.3f}"
    return Reliability(title=f"{name}{support}\n{error}", bins=head.reliability[name], probabilities=probabilities)
