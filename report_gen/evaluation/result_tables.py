"""Render the results of an evaluation for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from report_gen.evaluation.normal_drafts import DraftShare
from report_gen.evaluation.results import LABEL_POLICY, Evaluation
from report_gen.metrics import (
    label_name,
    render_differences,
    render_head,
    render_labels,
    render_locations,
    render_table,
)


def render_evaluation(evaluation: Evaluation) -> RenderableType:
    """Render the main scores of an evaluation. It quotes no report."""
    return Group(*_parts(evaluation))


def _parts(evaluation: Evaluation) -> Iterator[RenderableType]:
    if evaluation.reports is not None:
        yield render_table(evaluation.reports)
    yield from _labels(evaluation)
    if evaluation.nih_labels is not None:
        yield from render_labels(f"F1 of ChestX-ray14's labels, {LABEL_POLICY}", evaluation.nih_labels)
    if evaluation.normal_drafts is not None:
        shares = (("normal", evaluation.normal_drafts.normal), ("abnormal", evaluation.normal_drafts.abnormal))
        yield Text(f"normal drafts: {'; '.join(_describe_share(*pair) for pair in shares)}")
    yield from _attributes(evaluation)
    if evaluation.finding_head is not None:
        yield from render_head(evaluation.finding_head)
    if evaluation.locations is not None:
        yield from render_locations(evaluation.locations)
    for verdict in evaluation.verdicts:
        yield Text(verdict.text, style="bold red")
    yield Text(
        f"{len(evaluation.drafts)} studies, {evaluation.distinct} distinct drafts, "
        f"the most frequent for {evaluation.most_frequent_share:.1%} of them"
    )
    if evaluation.refused:
        yield Text(f"{len(evaluation.refused)} studies left out: their images cannot be read", style="yellow")
    if evaluation.without_draft:
        number = len(evaluation.without_draft)
        yield Text(f"{number} studies without a report by the model, scored as empty drafts", style="yellow")


def _describe_share(kind: str, counted: DraftShare) -> str:
    low, high = counted.interval
    shares = f"{counted.share:.1%} ({low:.1%} to {high:.1%})"
    return f"{counted.normal_drafts} of {counted.studies} {kind} studies, {shares}"


def _labels(evaluation: Evaluation) -> Iterator[RenderableType]:
    labeled = [finding for finding in evaluation.schema.scored_findings if evaluation.label_support[finding]]
    names = [*evaluation.averages, *(label_name(finding, "F1", LABEL_POLICY) for finding in labeled)]
    for control, differences in evaluation.labels.items():
        by_name = {one.name: one for one in differences}
        title = f"Against the labels with {control} images"
        yield render_differences(title, f"{control}\nimages", "own\nimages", [by_name[name] for name in names])
    if evaluation.labels:
        counts = (f"{name} {count}" for name, count in evaluation.label_support.items() if count)
        yield Text(f"labeled studies: {', '.join(counts)}")


def _attributes(evaluation: Evaluation) -> Iterator[RenderableType]:
    for control, differences in evaluation.attributes.items():
        title = f"Modality, plane and body part with {control} images"
        yield render_differences(title, f"{control}\nimages", "own\nimages", differences)
    if evaluation.attributes:
        for name, counts in evaluation.attribute_support.items():
            yield Text(f"studies by {name}: {', '.join(f'{value} {count}' for value, count in counts.items())}")
