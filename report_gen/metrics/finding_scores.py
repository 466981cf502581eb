"""Finding scores: precision, recall and F1 of the findings of a schema in drafts against reports.

"F1 of findings" means several numbers in the literature, so all are computed, each under its full name: micro (one pool
of all decisions), macro (mean over findings), per-report (mean over reports), weighted (by the references' support);
over the 14 observations of CheXpert and over the 5 that CheXpert evaluates, or over the findings of another schema;
with an uncertain mention as positive and as negative.

The 14 include "No Finding", as in CheXpert: a model that drafts only normal reports has a micro F1 well above 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
from numpy.typing import NDArray

from report_gen.labeling import chest_xray, finding_labeler
from report_gen.metrics.measure import Floats, Measure, mean_measure, ratio
from report_gen.records import FindingSchema, FindingState

UNCERTAIN_POLICIES = {"uncertain+": True, "uncertain-": False}
"""Whether an uncertain mention counts as positive, by the name of the policy."""

STATISTICS = ("precision", "recall", "F1")

FEW_POSITIVES = 30
"""Number of positive references below which the score of a single finding is mostly noise."""

States = Mapping[str, FindingState]
Labeler = Callable[[str], States]
_Bools = NDArray[np.bool_]


def label_reports(
    texts: Iterable[str], labeler: Labeler | None = None, *, schema: FindingSchema | None = None
) -> list[States]:
    """Label the findings in each text. Equal texts, which are frequent, are labeled once.

    Args:
        texts: Reports.
        labeler: Labels the findings of a text; the rules of the schema if not given.
        schema: The findings; those of chest radiographs if not given.
    """
    texts, labeler = tuple(texts), labeler or finding_labeler(schema or chest_xray()).label
    states = {text: labeler(text) for text in dict.fromkeys(texts)}
    return [states[text] for text in texts]


def finding_measures(
    predicted: Sequence[States],
    referenced: Sequence[States],
    labeler: str = "",
    *,
    schema: FindingSchema | None = None,
) -> tuple[Measure, ...]:
    """Return all averages, and precision, recall and F1 of each finding, for both policies of uncertainty; 0..1.

    Args:
        predicted: States that each of R drafts states.
        referenced: States that each of R references states.
        labeler: Name of a labeler other than the rules, which precedes the name of every score.
        schema: The findings; those of chest radiographs if not given. Without findings there is no measure.
    """
    schema = schema or chest_xray()
    if not schema.scored_findings:
        return ()
    tables = _Tables(schema)
    return tuple(
        measure
        for policy, uncertain in UNCERTAIN_POLICIES.items()
        for measure in tables.measures(
            positive(predicted, schema, uncertain), positive(referenced, schema, uncertain), policy, labeler
        )
    )


def average_name(average: str, statistic: str, observations: int | str, policy: str, labeler: str = "") -> str:
    """Return the full name of an averaged finding score, such as `micro F1, 14 findings, uncertain+`.

    Args:
        average: `micro`, `macro`, `weighted` or `per-report`.
        statistic: Name of the statistic, such as `F1`.
        observations: Number of findings, or a key of `FindingSchema.scored_sets`.
        policy: Policy for uncertain mentions, such as `uncertain+`.
        labeler: Name of the labeler; empty for the built-in one.
    """
    return f"{labeler} {average} {statistic}, {observations} findings, {policy}".lstrip()


def label_name(finding: str, statistic: str, policy: str, labeler: str = "") -> str:
    """Return the full name of the score of one finding, such as `Edema F1, uncertain+`.

    Args:
        finding: Name of the finding.
        statistic: Name of the statistic, such as `F1`.
        policy: Policy for uncertain mentions, such as `uncertain+`.
        labeler: Name of the labeler; empty for the built-in one.
    """
    return f"{labeler} {finding} {statistic}, {policy}".lstrip()


def is_finding_score(name: str) -> bool:
    """Return whether a score of this name is about findings, not about wording."""
    return name.endswith(tuple(UNCERTAIN_POLICIES))


def support(referenced: Sequence[States], *, uncertain: bool, schema: FindingSchema | None = None) -> dict[str, int]:
    """Count the references in which each scored finding is positive; see `FEW_POSITIVES`.

    Args:
        referenced: Finding states of each reference.
        uncertain: Whether an uncertain finding counts as positive.
        schema: The findings; those of chest radiographs if None.
    """
    schema = schema or chest_xray()
    counts = positive(referenced, schema, uncertain).sum(axis=0)
    return dict(zip(schema.scored_findings, counts.tolist(), strict=True))


def is_normal(states: States, schema: FindingSchema | None = None) -> bool:
    """Return whether no scored abnormal finding is present or uncertain; support devices may be present."""
    schema = schema or chest_xray()
    negative = {FindingState.ABSENT, FindingState.NOT_MENTIONED}
    diseases = set(schema.scored_findings) & set(schema.abnormal)
    return all(states.get(name, FindingState.NOT_MENTIONED) in negative for name in diseases)


def positive(states: Sequence[States], schema: FindingSchema, uncertain: bool) -> _Bools:
    """Mark the positive findings [R, S] of R reports among the S scored findings.

    Args:
        states: Finding states of each of the R reports.
        schema: The findings.
        uncertain: Whether an uncertain finding counts as positive.
    """
    counted = {FindingState.PRESENT, FindingState.UNCERTAIN} if uncertain else {FindingState.PRESENT}
    findings = schema.scored_findings
    stated = chain.from_iterable(map(report.get, findings) for report in states)
    return np.fromiter(map(counted.__contains__, stated), np.bool_).reshape(len(states), len(findings))


@dataclass(frozen=True)
class _Tables:
    """The measures of the S scored findings of a schema. The statistics of a report are 3 S counts."""

    schema: FindingSchema

    @property
    def sets(self) -> Mapping[str, list[int]]:
        """The columns of each set of findings, by the size of the set."""
        scored = self.schema.scored_findings
        return {size: [scored.index(name) for name in names] for size, names in self.schema.scored_sets.items()}

    def measures(self, predicted: _Bools, referenced: _Bools, policy: str, labeler: str) -> tuple[Measure, ...]:
        cells = [predicted & referenced, predicted & ~referenced, ~predicted & referenced]
        counts = np.column_stack(cells).astype(np.float64)
        variant = f"{labeler or f'rules:{self.schema.name}'},{policy}"
        sets, scored = self.sets, self.schema.scored_findings
        pooled = [average_name(*key, policy, labeler) for key in product(_POOLED, STATISTICS, sets)]
        by_report = [average_name("per-report", *key, policy, labeler) for key in product(STATISTICS, sets)]
        single = [label_name(*key, policy, labeler) for key in product(scored, STATISTICS)]
        return (
            Measure(
                names=tuple(pooled), statistics=counts, finish=self.average, variant=variant, defined_per_report=False
            ),
            mean_measure(by_report, self.by_report(counts), f"{variant},empty=1"),
            Measure(names=tuple(single), statistics=counts, finish=_single, variant=variant, defined_per_report=False),
        )

    def average(self, sums: Floats) -> Floats:
        """Compute the averages [..., averages * statistics * sets], ordered by average, statistic, set of findings."""
        sets = [_cells(sums)[..., chosen] for chosen in self.sets.values()]
        scores = np.array([[average(cells) for cells in sets] for average in _POOLED.values()])
        return np.moveaxis(scores, (0, 2, 1), (-3, -2, -1)).reshape(*sums.shape[:-1], -1)

    def by_report(self, counts: Floats) -> Floats:
        """Compute per-report scores [R, statistics * sets]; 1 if both sides have no finding."""
        columns = []
        for chosen in self.sets.values():
            cells = _cells(counts)[..., chosen].sum(axis=-1)
            columns.append(np.where(cells.any(axis=0), _scores(cells), 1.0))
        return np.stack(columns, axis=1).reshape(len(STATISTICS) * len(columns), len(counts)).T


def _cells(sums: Floats) -> Floats:
    """Reshape sums [..., 3 S] to [3, ..., S]: true positives, false positives, false negatives."""
    return np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)


def _scores(cells: Floats) -> Floats:
    """Compute precision, recall and F1 [3, ...] from cells [3, ...]."""
    true, false, missed = cells
    return np.stack([ratio(true, true + false), ratio(true, true + missed), ratio(2 * true, 2 * true + false + missed)])


def _micro(cells: Floats) -> Floats:
    return _scores(cells.sum(axis=-1))


def _macro(cells: Floats) -> Floats:
    """Average over the findings that are positive on either side; the others are neither right nor wrong."""
    return _mean(_scores(cells), (cells.sum(axis=0) > 0).astype(np.float64))


def _weighted(cells: Floats) -> Floats:
    return _mean(_scores(cells), cells[0] + cells[2])


def _mean(scores: Floats, weights: Floats) -> Floats:
    return ratio((scores * weights).sum(axis=-1), weights.sum(axis=-1))


_POOLED: Mapping[str, Callable[[Floats], Floats]] = {"micro": _micro, "macro": _macro, "weighted": _weighted}


def _single(sums: Floats) -> Floats:
    """Compute the scores of each finding [..., 3 S], ordered by finding, statistic."""
    return np.moveaxis(_scores(_cells(sums)), 0, -1).reshape(*sums.shape[:-1], -1)
