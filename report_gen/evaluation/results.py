"""What came out of drafting a corpus with and without its images: the record, as a table and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from report_gen.errors import StudyError
from report_gen.files import write_atomically
from report_gen.metrics.calibration import ALL, BINS, ECE
from report_gen.metrics.export import run_to_dict
from report_gen.metrics.finding_scores import average_name, label_name
from report_gen.metrics.head_scores import HeadRun
from report_gen.metrics.label_scores import MACRO, LabelScores
from report_gen.metrics.score_run import ScoreRun
from report_gen.metrics.significance import Difference
from report_gen.metrics.table import render_differences, render_head, render_labels, render_table
from report_gen.metrics.verdicts import Verdict, check_image_use
from report_gen.records.findings import FindingSchema
from report_gen.records.report import AttributeName
from report_gen.rendering.figures import Reliability, reliability_picture

_POLICY = "uncertain-"
"""A label knows no uncertainty, so a draft that is uncertain does not state the finding."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the drafts of a corpus are worth."""

    schema: FindingSchema
    """The findings of the scores."""
    texts: Mapping[str, str]
    """Draft from the study's own images, by study id."""
    refused: tuple[StudyError, ...]
    """Why studies were left out: their images cannot be read."""
    support: Mapping[str, int]
    """Studies with each finding that the corpus labels."""
    by_labels: Mapping[str, tuple[Difference, ...]]
    """Finding scores against the labels, from own images minus those from what the model was shown instead, by the name
    of that; empty where the corpus has no labels."""
    by_nih_labels: LabelScores | None
    """F1 of ChestX-ray14's own labels as the drafts state them; None where the corpus is another."""
    attribute_support: Mapping[AttributeName, Mapping[str, int]]
    """Studies by attribute and value that the corpus gives."""
    by_attributes: Mapping[str, tuple[Difference, ...]]
    """The measures of `attribute_scores` from own images minus those from what the model was shown instead; empty where
    the corpus gives no attributes."""
    head: HeadRun | None
    """The finding head against the labels; None where the corpus has no labels of a finding that it was taught."""
    run: ScoreRun | None
    """The drafts from own images against the reports; None where the corpus has none."""

    @property
    def distinct(self) -> int:
        """Different texts."""
        return len(set(self.texts.values()))

    @property
    def commonest(self) -> float:
        """Share of the commonest text, 0..1."""
        return max(Counter(self.texts.values()).values()) / len(self.texts)

    @property
    def averages(self) -> tuple[str, ...]:
        """Names of the averaged finding scores against the labels; none for a schema without findings."""
        sizes = list(self.schema.scored_sets)[:1]  # all scored findings
        return tuple(average_name(average, "F1", size, _POLICY) for size in sizes for average in ("macro", "micro"))

    @property
    def verdicts(self) -> list[Verdict]:
        """On the use of the image by the labels; those by the reports are in the run."""
        found = check_image_use(self.by_labels, self.averages, against="labels")
        if self.by_nih_labels is None:
            return found
        controls = {name: self.by_nih_labels.against[name] for name in self.by_labels}
        return found + check_image_use(controls, (MACRO,), against="labels of ChestX-ray14")


def render(evaluation: Evaluation) -> RenderableType:
    """The figures that matter; quotes no report."""
    return Group(*_parts(evaluation))


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Everything, for programs; quotes the drafts. Raises OutputError."""
    document = {
        "finding_schema": evaluation.schema.name,
        "studies": len(evaluation.texts),
        "refused": [str(error) for error in evaluation.refused],
        "distinct": evaluation.distinct,
        "commonest": evaluation.commonest,
        "support": evaluation.support,
        "labels": {
            control: {one.name: asdict(one) for one in differences}
            for control, differences in evaluation.by_labels.items()
        },
        "nih_labels": None if evaluation.by_nih_labels is None else asdict(evaluation.by_nih_labels),
        "attributes": {
            "support": evaluation.attribute_support,
            **{
                control: {one.name: asdict(one) for one in differences}
                for control, differences in evaluation.by_attributes.items()
            },
        },
        "head": None if evaluation.head is None else asdict(evaluation.head),
        "reports": None if evaluation.run is None else run_to_dict(evaluation.run),
        "verdicts": [asdict(verdict) for verdict in evaluation.verdicts],
        "drafts": evaluation.texts,
    }
    write_atomically(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_calibration(head: HeadRun, path: Path) -> None:
    """A reliability diagram of all findings and of each with enough positive studies, as PNG. Raises OutputError."""
    answers = {name: [row[name] for row in head.probabilities.values() if name in row] for name in head.support}
    pooled = Reliability(
        title=_title(head, ALL),
        dots=head.reliability[ALL],
        probabilities=[one for row in answers.values() for one in row],
    )
    single = [
        Reliability(title=_title(head, name), dots=head.reliability[name], probabilities=answers[name])
        for name, support in head.support.items()
        if support.positive >= BINS
    ]
    caption = (
        f"{len(head.probabilities)} studies; {ECE}: expected calibration error, {BINS} bins of equal mass; lines: 95%"
    )
    write_atomically(path, reliability_picture(pooled, single, caption=caption))


def _title(head: HeadRun, name: str) -> str:
    support = f", {head.support[name].positive} of {head.support[name].studies}" if name in head.support else ""
    return f"{name}{support}\n{ECE} {head[f'{name} {ECE}'].value:.3f}, by chance {head.error_by_chance[name]:.3f}"


def _parts(evaluation: Evaluation) -> Iterator[RenderableType]:
    if evaluation.run is not None:
        yield render_table(evaluation.run)
    for control, differences in evaluation.by_labels.items():
        by_name = {one.name: one for one in differences}
        shown = [by_name[name] for name in _shown(evaluation)]
        yield render_differences(
            f"Against the labels with {control} images", f"{control}\nimages", "own\nimages", shown
        )
    if evaluation.by_labels:
        held = (f"{name} {count}" for name, count in evaluation.support.items() if count)
        yield Text(f"labelled studies: {', '.join(held)}")
    if evaluation.by_nih_labels is not None:
        yield from render_labels("F1 of ChestX-ray14's labels, uncertain-", evaluation.by_nih_labels)
    yield from _attributes(evaluation)
    if evaluation.head is not None:
        yield from render_head(evaluation.head)
    for verdict in evaluation.verdicts:
        yield Text(verdict.text, style="bold red")
    yield Text(
        f"{len(evaluation.texts)} studies, {evaluation.distinct} distinct drafts, "
        f"the commonest for {evaluation.commonest:.1%} of them"
    )
    if evaluation.refused:
        yield Text(f"{len(evaluation.refused)} studies left out: their images cannot be read", style="yellow")


def _attributes(evaluation: Evaluation) -> Iterator[RenderableType]:
    for control, differences in evaluation.by_attributes.items():
        title = f"Modality, plane and body part with {control} images"
        yield render_differences(title, f"{control}\nimages", "own\nimages", differences)
    if evaluation.by_attributes:
        for name, counts in evaluation.attribute_support.items():
            yield Text(f"studies by {name}: {', '.join(f'{value} {count}' for value, count in counts.items())}")


def _shown(evaluation: Evaluation) -> Iterator[str]:
    yield from evaluation.averages
    for finding in evaluation.schema.scored_findings:
        if evaluation.support[finding]:
            yield label_name(finding, "F1", _POLICY)
