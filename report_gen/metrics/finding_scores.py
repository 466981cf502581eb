"""Finding scores: precision, recall and F1 of the 14 CheXpert observations in drafts against reports.

"F1 of findings" means several numbers in the literature, so all are computed, each under its full name: micro (one pool
of all decisions), macro (mean over observations), per-report (mean over reports), weighted (by the references'
support); over the 14 observations and over the 5 that CheXpert evaluates; with an uncertain mention as positive and as
negative.

The 14 include "No Finding", as in CheXpert: a model that drafts only normal reports has a micro F1 well above 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from report_gen.labeling.labeler import label_findings
from report_gen.metrics.measure import Floats, Measure, mean_measure, ratio
from report_gen.records.report import CHEXPERT, FindingState

CHEXPERT_FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The observations of CheXpert's competition (Irvin et al., AAAI 2019, section 5)."""

UNCERTAIN_POLICIES = {"uncertain+": True, "uncertain-": False}
"""Whether an uncertain mention counts as positive, by the name of the policy."""

STATISTICS = ("precision", "recall", "F1")

FEW_POSITIVES = 30
"""Number of positive references below which the score of a single finding is mostly noise."""

States = Mapping[str, FindingState]
Labeler = Callable[[str], States]
_Bools = NDArray[np.bool_]

_LABELS = len(CHEXPERT)
_SETS: Mapping[int, list[int]] = {14: list(range(_LABELS)), 5: [CHEXPERT.index(name) for name in CHEXPERT_FIVE]}


def label_reports(texts: Iterable[str], labeler: Labeler = label_findings) -> list[States]:
    """Label the 14 observations in each text. Equal texts, which are frequent, are labeled once."""
    texts = tuple(texts)
    states = {text: labeler(text) for text in dict.fromkeys(texts)}
    return [states[text] for text in texts]


def finding_measures(
    predicted: Sequence[States], referenced: Sequence[States], labeler: str = ""
) -> tuple[Measure, ...]:
    """Compute all averages and the scores of each observation, 0 to 1, for both policies of uncertainty.

    Args:
        predicted: states of each draft.
        referenced: states of each reference.
        labeler: name of a labeler other than the built-in rules; it precedes the name of every score.
    """
    return tuple(
        measure
        for policy, uncertain in UNCERTAIN_POLICIES.items()
        for measure in _measures(_positive(predicted, uncertain), _positive(referenced, uncertain), policy, labeler)
    )


def average_name(average: str, statistic: str, observations: int, policy: str, labeler: str = "") -> str:
    """Return the full name of an averaged finding score, such as `micro F1, 14 findings, uncertain+`."""
    return f"{labeler} {average} {statistic}, {observations} findings, {policy}".lstrip()


def label_name(finding: str, statistic: str, policy: str, labeler: str = "") -> str:
    """Return the full name of the score of one observation, such as `Edema F1, uncertain+`."""
    return f"{labeler} {finding} {statistic}, {policy}".lstrip()


def is_finding_score(name: str) -> bool:
    """Tell whether a score of this name is about findings, not about wording."""
    return name.endswith(tuple(UNCERTAIN_POLICIES))


def support(referenced: Sequence[States], *, uncertain: bool) -> dict[str, int]:
    """Count the references in which each observation is positive; see `FEW_POSITIVES`."""
    counts = _positive(referenced, uncertain).sum(axis=0)
    return dict(zip(CHEXPERT, counts.tolist(), strict=True))


def is_normal(states: States) -> bool:
    """Tell whether no disease among the 14 observations is present or uncertain; support devices may be present."""
    negative = {FindingState.ABSENT, FindingState.NOT_MENTIONED}
    diseases = (name for name in CHEXPERT if name not in ("No Finding", "Support Devices"))
    return all(states.get(name, FindingState.NOT_MENTIONED) in negative for name in diseases)


def _positive(states: Sequence[States], uncertain: bool) -> _Bools:
    """Mark positive observations [R, 14]."""
    positive = {FindingState.PRESENT, FindingState.UNCERTAIN} if uncertain else {FindingState.PRESENT}
    rows = [[report.get(name) in positive for name in CHEXPERT] for report in states]
    return np.array(rows, dtype=np.bool_).reshape(-1, _LABELS)


def _measures(predicted: _Bools, referenced: _Bools, policy: str, labeler: str) -> tuple[Measure, ...]:
    cells = [predicted & referenced, predicted & ~referenced, ~predicted & referenced]
    counts = np.column_stack(cells).astype(np.float64)
    variant = f"{labeler or 'rules'},{policy}"
    pooled = [average_name(*key, policy, labeler) for key in product(_POOLED, STATISTICS, _SETS)]
    by_report = [average_name("per-report", *key, policy, labeler) for key in product(STATISTICS, _SETS)]
    single = [label_name(*key, policy, labeler) for key in product(CHEXPERT, STATISTICS)]
    return (
        Measure(names=tuple(pooled), statistics=counts, finish=_average, variant=variant, defined_per_report=False),
        mean_measure(by_report, _by_report(counts), f"{variant},empty=1"),
        Measure(names=tuple(single), statistics=counts, finish=_single, variant=variant, defined_per_report=False),
    )


def _cells(sums: Floats) -> Floats:
    """Reshape sums [..., 42] to [3, ..., 14]: true positives, false positives, false negatives."""
    return np.moveaxis(sums.reshape(*sums.shape[:-1], 3, _LABELS), -2, 0)


def _scores(cells: Floats) -> Floats:
    """Compute precision, recall and F1 [3, ...] from cells [3, ...]."""
    true, false, missed = cells
    return np.stack([ratio(true, true + false), ratio(true, true + missed), ratio(2 * true, 2 * true + false + missed)])


def _average(sums: Floats) -> Floats:
    """Compute the averages [..., 18], ordered by average, statistic, set of findings."""
    sets = [_cells(sums)[..., chosen] for chosen in _SETS.values()]
    scores = np.array([[average(cells) for cells in sets] for average in _POOLED.values()])
    return np.moveaxis(scores, (0, 2, 1), (-3, -2, -1)).reshape(*sums.shape[:-1], -1)


def _micro(cells: Floats) -> Floats:
    return _scores(cells.sum(axis=-1))


def _macro(cells: Floats) -> Floats:
    """Average over the observations that are positive on either side; the others are neither right nor wrong."""
    return _mean(_scores(cells), (cells.sum(axis=0) > 0).astype(np.float64))


def _weighted(cells: Floats) -> Floats:
    return _mean(_scores(cells), cells[0] + cells[2])


def _mean(scores: Floats, weights: Floats) -> Floats:
    return ratio((scores * weights).sum(axis=-1), weights.sum(axis=-1))


_POOLED: Mapping[str, Callable[[Floats], Floats]] = {"micro": _micro, "macro": _macro, "weighted": _weighted}


def _by_report(counts: Floats) -> Floats:
    """Compute per-report scores [R, 6], ordered by statistic, set of findings; 1 if both sides have no finding."""
    columns = []
    for chosen in _SETS.values():
        cells = _cells(counts)[..., chosen].sum(axis=-1)
        columns.append(np.where(cells.any(axis=0), _scores(cells), 1.0))
    return np.stack(columns, axis=1).reshape(len(STATISTICS) * len(_SETS), len(counts)).T


def _single(sums: Floats) -> Floats:
    """Compute the scores of each observation [..., 42], ordered by observation, statistic."""
    return np.moveaxis(_scores(_cells(sums)), 0, -1).reshape(*sums.shape[:-1], -1)
