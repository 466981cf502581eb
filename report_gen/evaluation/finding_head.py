"""The finding head of a drafter, held against the labels of a corpus by the probabilities that its reports carry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from report_gen.metrics.head_scores import HeadRun, score_head
from report_gen.metrics.measure import Floats
from report_gen.metrics.score_run import ScoreMethod
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.report import Report

_DIGITS = 6
"""Decimals of a probability."""

Row = Mapping[str, Any]
States = Mapping[str, FindingState]


def score_finding_head(
    ids: Sequence[str],
    labels: Sequence[States],
    own: Sequence[Report],
    controls: Mapping[str, Sequence[Report]],
    method: ScoreMethod,
) -> HeadRun | None:
    """Every figure of the head; None where no label is of a finding that it was taught.

    Args:
        ids: of S studies.
        labels: what is known of each, as `known_labels` gives it.
        own: their reports from their own images.
        controls: their reports from other images, by the name of these.
        method: its draws and seed.
    """
    findings = tuple(finding.name for finding in own[0].findings)
    values = {FindingState.PRESENT: 1.0, FindingState.ABSENT: 0.0}
    truth = [[values[label[name]] if name in label else np.nan for name in findings] for label in labels]
    return score_head(
        ids,
        findings,
        own=_probabilities(own),
        controls={name: _probabilities(reports) for name, reports in controls.items()},
        labels=np.array(truth).reshape(len(labels), len(findings)),
        draws=method.draws,
        seed=method.seed,
        derived=method.schema.normal,
    )


def can_score_finding_head(reported: Iterable[str], rows: Iterable[Row], schema: FindingSchema) -> bool:
    """Whether a study has a label of one of the findings whose probability is `reported`."""
    wanted = frozenset(reported)
    return any(known_labels(row, schema).keys() & wanted for row in rows)


def known_labels(row: Row, schema: FindingSchema) -> States:
    """The labels that the corpus has, as states."""
    return {
        name: FindingState.PRESENT if label > 0.5 else FindingState.ABSENT
        for name, label in zip(schema.findings, row["labels"], strict=True)
        if label is not None
    }


def _probabilities(reports: Sequence[Report]) -> Floats:
    """[S,F], NaN where there is none; without the last digits, in which equal images differ from batch to batch."""
    known = [[finding.probability for finding in report.findings] for report in reports]
    rounded = [[np.nan if one is None else round(one, _DIGITS) for one in row] for row in known]
    return np.array(rounded).reshape(len(rounded), -1 if any(rounded) else 0)
