"""Score the probabilities that drafts carry, from the finding head of the model, against the labels of a corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from report_gen.evaluation.rows import Row
from report_gen.metrics import Floats, HeadRun, ScoreMethod, States, score_head
from report_gen.records import FindingSchema, FindingState, Report

_DIGITS = 6
"""Decimals of a probability. Further digits of equal images differ between batches, which would break ties."""


def score_finding_head(
    ids: Sequence[str],
    labels: Sequence[States],
    own: Sequence[Report],
    controls: Mapping[str, Sequence[Report]],
    method: ScoreMethod,
) -> HeadRun | None:
    """Compute every score of the finding head.

    Args:
        ids: Ids of the S studies.
        labels: Labels of each study, from `known_labels`.
        own: Reports drafted from the studies' own images.
        controls: Reports drafted from control images, by the control's name.
        method: Gives the number of draws and the seed.

    Returns:
        None if no label is of a finding that the head was trained on.
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
    """Return whether a study has a label of one of the findings whose probability is `reported`.

    Args:
        reported: Names of the findings whose probability the model reports.
        rows: Rows of the corpus.
        schema: The findings with which the corpus was read.
    """
    names = frozenset(reported)
    return any(known_labels(row, schema).keys() & names for row in rows)


def known_labels(row: Row, schema: FindingSchema) -> States:
    """Return the labels that the corpus gives for a study, as finding states."""
    return {
        name: FindingState.PRESENT if label > 0.5 else FindingState.ABSENT
        for name, label in zip(schema.findings, row["labels"], strict=True)
        if label is not None
    }


def _probabilities(reports: Sequence[Report]) -> Floats:
    """Return rounded probabilities [S, F]; NaN where a report has none."""
    known = [[finding.probability for finding in report.findings] for report in reports]
    rounded = [[np.nan if one is None else round(one, _DIGITS) for one in row] for row in known]
    return np.array(rounded).reshape(len(rounded), -1 if any(rounded) else 0)
