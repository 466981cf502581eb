"""Do the drafts find what the reports find? Precision, recall and F1 of the findings of a schema.

"F1 of findings" is several numbers in the literature, so all are given, each under its full name: micro (one pool of
all decisions), macro (mean over observations), per-report (mean over reports), weighted (by the references' support);
over the 14 observations of CheXpert and over the 5 that CheXpert evaluates, or over the findings of another schema; an
uncertain mention as positive and as negative.

The 14 include "No Finding", as in CheXpert: a drafter that calls every study normal has a micro F1 well above 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from report_gen.labeling.labeler import finding_labeler
from report_gen.labeling.schema_files import chest_xray
from report_gen.metrics.measure import Floats, Measure, mean_measure, ratio
from report_gen.records.findings import FindingSchema, FindingState

UNCERTAIN_AS = {"uncertain+": True, "uncertain-": False}
"""Whether an uncertain mention counts as the finding, by the name of the policy."""

STATISTICS = ("precision", "recall", "F1")

FEW = 30
"""Under so many positive references a finding's own score is mostly noise."""

States = Mapping[str, FindingState]
Labeller = Callable[[str], States]
_Bools = NDArray[np.bool_]


def label_reports(
    texts: Iterable[str], labeller: Labeller | None = None, *, schema: FindingSchema | None = None
) -> list[States]:
    """Return what each text states about the findings. Drafts and normal reports repeat: equal texts are read once.

    Args:
        texts: Reports.
        labeller: Reads the findings of a text; the rules of the schema if not given.
        schema: The findings; those of chest radiographs if not given.
    """
    texts, labeller = tuple(texts), labeller or finding_labeler(schema or chest_xray()).label
    states = {text: labeller(text) for text in dict.fromkeys(texts)}
    return [states[text] for text in texts]


def finding_measures(
    predicted: Sequence[States],
    referenced: Sequence[States],
    labeller: str = "",
    *,
    schema: FindingSchema | None = None,
) -> tuple[Measure, ...]:
    """Return all averages, and precision, recall and F1 of each finding, for both policies of uncertainty; 0..1.

    Args:
        predicted: States that each of R drafts states.
        referenced: States that each of R references states.
        labeller: Name of a labeler other than the rules, which stands before every score and in the recipe.
        schema: The findings; those of chest radiographs if not given. Without findings there is no measure.
    """
    schema = schema or chest_xray()
    if not schema.scored_findings:
        return ()
    tables = _Tables(schema)
    return tuple(
        measure
        for policy, uncertain in UNCERTAIN_AS.items()
        for measure in tables.measures(
            positive(predicted, schema, uncertain), positive(referenced, schema, uncertain), policy, labeller
        )
    )


def average_name(average: str, statistic: str, observations: int | str, policy: str, labeller: str = "") -> str:
    """The full name of an averaged finding score, such as `micro F1, 14 findings, uncertain+`."""
    return f"{labeller} {average} {statistic}, {observations} findings, {policy}".lstrip()


def label_name(finding: str, statistic: str, policy: str, labeller: str = "") -> str:
    """The full name of one observation's score, such as `Edema F1, uncertain+`."""
    return f"{labeller} {finding} {statistic}, {policy}".lstrip()


def is_finding_score(name: str) -> bool:
    """Whether a score of this name is about findings, not about wording."""
    return name.endswith(tuple(UNCERTAIN_AS))


def support(referenced: Sequence[States], *, uncertain: bool, schema: FindingSchema | None = None) -> dict[str, int]:
    """Return in how many references each scored finding is positive. Under 30 its own score says little."""
    schema = schema or chest_xray()
    counts = positive(referenced, schema, uncertain).sum(axis=0)
    return dict(zip(schema.scored_findings, counts.tolist(), strict=True))


def is_normal(states: States, schema: FindingSchema | None = None) -> bool:
    """Return whether no scored finding that counts as abnormal is stated or suspected; devices may be there."""
    schema = schema or chest_xray()
    quiet = {FindingState.ABSENT, FindingState.NOT_MENTIONED}
    diseases = set(schema.scored_findings) & set(schema.abnormal)
    return all(states.get(name, FindingState.NOT_MENTIONED) in quiet for name in diseases)


def positive(states: Sequence[States], schema: FindingSchema, uncertain: bool) -> _Bools:
    """Return [R,S]: whether each report states each of the S scored findings, with or without uncertain mentions."""
    counted = {FindingState.PRESENT, FindingState.UNCERTAIN} if uncertain else {FindingState.PRESENT}
    rows = [[report.get(name) in counted for name in schema.scored_findings] for report in states]
    return np.array(rows, dtype=np.bool_).reshape(len(rows), len(schema.scored_findings))


@dataclass(frozen=True)
class _Tables:
    """The measures over the S scored findings of a schema; the statistics of a report are 3 S counts."""

    schema: FindingSchema

    @property
    def sets(self) -> Mapping[str, list[int]]:
        """By the size of each set of findings, the columns of its findings."""
        scored = self.schema.scored_findings
        return {size: [scored.index(name) for name in names] for size, names in self.schema.scored_sets.items()}

    def measures(self, predicted: _Bools, referenced: _Bools, policy: str, labeller: str) -> tuple[Measure, ...]:
        cells = [predicted & referenced, predicted & ~referenced, ~predicted & referenced]
        counts = np.column_stack(cells).astype(np.float64)
        recipe = f"{labeller or f'rules:{self.schema.name}'},{policy}"
        sets, scored = self.sets, self.schema.scored_findings
        pooled = [average_name(*key, policy, labeller) for key in product(_POOLED, STATISTICS, sets)]
        by_report = [average_name("per-report", *key, policy, labeller) for key in product(STATISTICS, sets)]
        single = [label_name(*key, policy, labeller) for key in product(scored, STATISTICS)]
        return (
            Measure(names=tuple(pooled), statistics=counts, finish=self.average, recipe=recipe, of_one_report=False),
            mean_measure(by_report, self.by_report(counts), f"{recipe},empty=1"),
            Measure(names=tuple(single), statistics=counts, finish=_observe, recipe=recipe, of_one_report=False),
        )

    def average(self, sums: Floats) -> Floats:
        """[..., averages * statistics * sets]: by average, then statistic, then set of findings."""
        sets = [_cells(sums)[..., chosen] for chosen in self.sets.values()]
        scores = np.array([[average(cells) for cells in sets] for average in _POOLED.values()])
        return np.moveaxis(scores, (0, 2, 1), (-3, -2, -1)).reshape(*sums.shape[:-1], -1)

    def by_report(self, counts: Floats) -> Floats:
        """[R, statistics * sets]: the set of findings of each report, 1 where neither side has any."""
        columns = []
        for chosen in self.sets.values():
            cells = _cells(counts)[..., chosen].sum(axis=-1)
            columns.append(np.where(cells.any(axis=0), _scores(cells), 1.0))
        return np.stack(columns, axis=1).reshape(len(STATISTICS) * len(columns), len(counts)).T


def _cells(sums: Floats) -> Floats:
    """[..., 3 S] as [3, ..., S]: found by both, by the draft alone, by the reference alone."""
    return np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)


def _scores(cells: Floats) -> Floats:
    """[3, ...] cells -> [3, ...]: precision, recall, F1."""
    hit, false, missed = cells
    return np.stack([ratio(hit, hit + false), ratio(hit, hit + missed), ratio(2 * hit, 2 * hit + false + missed)])


def _micro(cells: Floats) -> Floats:
    return _scores(cells.sum(axis=-1))


def _macro(cells: Floats) -> Floats:
    """Mean over the observations that either side has at all: one that nobody mentions is neither right nor wrong."""
    return _mean(_scores(cells), (cells.sum(axis=0) > 0).astype(np.float64))


def _weighted(cells: Floats) -> Floats:
    return _mean(_scores(cells), cells[0] + cells[2])


def _mean(scores: Floats, weights: Floats) -> Floats:
    return ratio((scores * weights).sum(axis=-1), weights.sum(axis=-1))


_POOLED: Mapping[str, Callable[[Floats], Floats]] = {"micro": _micro, "macro": _macro, "weighted": _weighted}


def _observe(sums: Floats) -> Floats:
    """[..., 3 S]: by finding, then statistic."""
    return np.moveaxis(_scores(_cells(sums)), 0, -1).reshape(*sums.shape[:-1], -1)
