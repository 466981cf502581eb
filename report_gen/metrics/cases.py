"""Scores of single reports, and the findings that each draft missed or invented."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from report_gen.metrics.finding_scores import States, positive
from report_gen.metrics.joining import JoinedReports
from report_gen.metrics.metric_suite import MetricResults
from report_gen.records import FindingSchema


@dataclass(frozen=True, kw_only=True)
class Case:
    """One study with its draft, its reference and the scores of the draft."""

    study_id: str
    prediction: str
    reference: str
    scores: Mapping[str, float]
    missed: tuple[str, ...]
    """Findings that are present or uncertain in the reference and not in the draft."""
    invented: tuple[str, ...]
    """Findings that are present or uncertain in the draft and not in the reference."""


def list_cases(
    joined: JoinedReports, model: MetricResults, referenced: Sequence[States], schema: FindingSchema
) -> tuple[Case, ...]:
    """List every study in the order of the references, with its wording and finding scores."""
    columns, findings = _columns(model), schema.scored_findings
    stated, truth = positive(model.reports.states, schema, uncertain=True), positive(referenced, schema, uncertain=True)
    faults = ((truth & ~stated).tolist(), (stated & ~truth).tolist())
    cases = zip(joined.ids, joined.predictions, joined.references, *faults, strict=True)
    return tuple(
        Case(
            study_id=study_id,
            prediction=prediction,
            reference=reference,
            scores={name: values[row] for name, values in columns.items()},
            missed=tuple(compress(findings, missed)),
            invented=tuple(compress(findings, invented)),
        )
        for row, (study_id, prediction, reference, missed, invented) in enumerate(cases)
    )


def _columns(model: MetricResults) -> dict[str, list[float]]:
    """Return the scores that are meaningful for a single report, by name."""
    return {
        name: values.tolist()
        for measure in model.measures
        if measure.defined_per_report
        for name, values in zip(measure.names, measure.per_report.T, strict=True)
    }
