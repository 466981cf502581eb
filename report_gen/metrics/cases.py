"""Each report by itself: its scores, and the findings that the draft missed or made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from report_gen.metrics.finding_scores import States
from report_gen.metrics.joining import Joined
from report_gen.metrics.metric_suite import MetricResults
from report_gen.records.findings import FindingSchema, FindingState


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    """The report's id."""
    prediction: str
    reference: str
    scores: Mapping[str, float]
    missed: tuple[str, ...]
    """Findings that the reference states or suspects and the draft does not."""
    invented: tuple[str, ...]
    """Findings that the draft states or suspects and the reference does not."""


def list_cases(
    joined: Joined, model: MetricResults, referenced: Sequence[States], schema: FindingSchema
) -> tuple[Case, ...]:
    """One case for every study, in the references' order, with the scores of the wording and of the findings."""
    columns, findings = _columns(model), schema.scored_findings
    cases = zip(joined.ids, joined.predictions, joined.references, model.states, referenced, strict=True)
    return tuple(
        Case(
            name=name,
            prediction=prediction,
            reference=reference,
            scores={title: values[row] for title, values in columns.items()},
            missed=tuple(finding for finding in findings if _found(there, finding) and not _found(here, finding)),
            invented=tuple(finding for finding in findings if _found(here, finding) and not _found(there, finding)),
        )
        for row, (name, prediction, reference, here, there) in enumerate(cases)
    )


def _columns(model: MetricResults) -> dict[str, list[float]]:
    """The scores that mean something for a single report, by name."""
    return {
        name: values.tolist()
        for measure in model.measures
        if measure.of_one_report
        for name, values in zip(measure.names, measure.per_report.T, strict=True)
    }


def _found(states: States, finding: str) -> bool:
    return states.get(finding) in (FindingState.PRESENT, FindingState.UNCERTAIN)
