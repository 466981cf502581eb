"""Do the drafts find what the reports find? Precision, recall and F1 of the 14 CheXpert observations.

"F1 of findings" is several numbers in the literature, so all are given, each under its full name: micro (one pool of
all decisions), macro (mean over observations), per-report (mean over reports), weighted (by the references' support);
over the 14 observations and over the 5 that CheXpert evaluates; an uncertain mention as positive and as negative.

The 14 include "No Finding", as in CheXpert: a drafter that calls every study normal has a micro F1 well above 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from report_gen.labeling.labeler import label_findings
from report_gen.metrics.measure import Floats, Measure, mean_measure, ratio
from report_gen.records.findings import FindingState

CHEXPERT_FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The observations of CheXpert's competition (Irvin et al., AAAI 2019, section 5)."""

UNCERTAIN_AS = {"uncertain+": True, "uncertain-": False}
"""Whether an uncertain mention counts as the finding, by the name of the policy."""

STATISTICS = ("precision", "recall", "F1")

FEW = 30
"""Under so many positive references a finding's own score is mostly noise."""

States = Mapping[str, FindingState]
Labeller = Callable[[str], States]
_Bools = NDArray[np.bool_]

_LABELS = len(CHEXPERT)
_SETS: Mapping[int, list[int]] = {14: list(range(_LABELS)), 5: [CHEXPERT.index(name) for name in CHEXPERT_FIVE]}


def label_reports(texts: Iterable[str], labeller: Labeller = label_findings) -> list[States]:
    """What each text says of the 14 observations. Drafts and normal reports repeat, so equal texts are read once."""
    texts = tuple(texts)
    states = {text: labeller(text) for text in dict.fromkeys(texts)}
    return [states[text] for text in texts]


def finding_measures(
    predicted: Sequence[States], referenced: Sequence[States], labeller: str = ""
) -> tuple[Measure, ...]:
    """All averages, and precision, recall and F1 of each observation, for both policies of uncertainty; 0..1.

    `labeller` names one that is not ours, before every score and in the recipe.
    """
    return tuple(
        measure
        for policy, uncertain in UNCERTAIN_AS.items()
        for measure in _measures(_positive(predicted, uncertain), _positive(referenced, uncertain), policy, labeller)
    )


def average_name(average: str, statistic: str, observations: int, policy: str, labeller: str = "") -> str:
    """The full name of an averaged finding score, such as `micro F1, 14 findings, uncertain+`."""
    return f"{labeller} {average} {statistic}, {observations} findings, {policy}".lstrip()


def label_name(finding: str, statistic: str, policy: str, labeller: str = "") -> str:
    """The full name of one observation's score, such as `Edema F1, uncertain+`."""
    return f"{labeller} {finding} {statistic}, {policy}".lstrip()


def is_finding_score(name: str) -> bool:
    """Whether a score of this name is about findings, not about wording."""
    return name.endswith(tuple(UNCERTAIN_AS))


def support(referenced: Sequence[States], *, uncertain: bool) -> dict[str, int]:
    """In how many references each observation is positive. Under 30 a figure of its own says little."""
    counts = _positive(referenced, uncertain).sum(axis=0)
    return dict(zip(CHEXPERT, counts.tolist(), strict=True))


def is_normal(states: States) -> bool:
    """Whether none of the diseases among the 14 is stated or suspected; devices may be there."""
    quiet = {FindingState.ABSENT, FindingState.NOT_MENTIONED}
    diseases = (name for name in CHEXPERT if name not in ("No Finding", "Support Devices"))
    return all(states.get(name, FindingState.NOT_MENTIONED) in quiet for name in diseases)


def _positive(states: Sequence[States], uncertain: bool) -> _Bools:
    """[R, 14]"""
    counted = {FindingState.PRESENT, FindingState.UNCERTAIN} if uncertain else {FindingState.PRESENT}
    rows = [[report.get(name) in counted for name in CHEXPERT] for report in states]
    return np.array(rows, dtype=np.bool_).reshape(-1, _LABELS)


def _measures(predicted: _Bools, referenced: _Bools, policy: str, labeller: str) -> tuple[Measure, ...]:
    cells = [predicted & referenced, predicted & ~referenced, ~predicted & referenced]
    counts = np.column_stack(cells).astype(np.float64)
    recipe = f"{labeller or 'rules'},{policy}"
    pooled = [average_name(*key, policy, labeller) for key in product(_POOLED, STATISTICS, _SETS)]
    by_report = [average_name("per-report", *key, policy, labeller) for key in product(STATISTICS, _SETS)]
    single = [label_name(*key, policy, labeller) for key in product(CHEXPERT, STATISTICS)]
    return (
        Measure(names=tuple(pooled), statistics=counts, finish=_average, recipe=recipe, of_one_report=False),
        mean_measure(by_report, _by_report(counts), f"{recipe},empty=1"),
        Measure(names=tuple(single), statistics=counts, finish=_observe, recipe=recipe, of_one_report=False),
    )


def _cells(sums: Floats) -> Floats:
    """[..., 42] as [3, ..., 14]: found by both, by the draft alone, by the reference alone."""
    return np.moveaxis(sums.reshape(*sums.shape[:-1], 3, _LABELS), -2, 0)


def _scores(cells: Floats) -> Floats:
    """[3, ...] cells -> [3, ...]: precision, recall, F1."""
    hit, false, missed = cells
    return np.stack([ratio(hit, hit + false), ratio(hit, hit + missed), ratio(2 * hit, 2 * hit + false + missed)])


def _average(sums: Floats) -> Floats:
    """[..., 18]: by average, then statistic, then set of findings."""
    sets = [_cells(sums)[..., chosen] for chosen in _SETS.values()]
    scores = np.array([[average(cells) for cells in sets] for average in _POOLED.values()])
    return np.moveaxis(scores, (0, 2, 1), (-3, -2, -1)).reshape(*sums.shape[:-1], -1)


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


def _by_report(counts: Floats) -> Floats:
    """[R, 6]: by statistic, then set; the set of findings of each report, 1 where neither side has any."""
    columns = []
    for chosen in _SETS.values():
        cells = _cells(counts)[..., chosen].sum(axis=-1)
        columns.append(np.where(cells.any(axis=0), _scores(cells), 1.0))
    return np.stack(columns, axis=1).reshape(len(STATISTICS) * len(_SETS), len(counts)).T


def _observe(sums: Floats) -> Floats:
    """[..., 42]: by observation, then statistic."""
    return np.moveaxis(_scores(_cells(sums)), 0, -1).reshape(*sums.shape[:-1], -1)
