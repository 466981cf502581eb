"""Do the drafts find what the reports find? Precision, recall and F1 of the 14 CheXpert observations.

"F1 of findings" is several numbers in the literature, so all are given, each under its full name: micro (one pool of
all decisions), macro (mean over observations), per-report (mean over reports), weighted (by the references' support);
over the 14 observations and over the 5 that CheXpert evaluates; an uncertain mention as positive and as negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from report_gen.findings import label_findings
from report_gen.report import FINDINGS, FindingState
from report_gen.scoring.measure import Floats, Measure, ratio

CHEXPERT_FIVE = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
"""The observations of CheXpert's competition (Irvin et al., AAAI 2019, section 5)."""

UNCERTAIN_AS = {"uncertain+": True, "uncertain-": False}
"""Whether an uncertain mention counts as the finding, by the name of the policy."""

STATISTICS = ("precision", "recall", "F1")
AVERAGES = ("micro", "macro", "per-report", "weighted")

States = Mapping[str, FindingState]
Labeller = Callable[[str], States]
_Bools = NDArray[np.bool_]

_LABELS = len(FINDINGS)
_SETS: Mapping[int, list[int]] = {14: list(range(_LABELS)), 5: [FINDINGS.index(name) for name in CHEXPERT_FIVE]}


def label_reports(texts: Iterable[str], labeller: Labeller = label_findings) -> list[States]:
    """What each text says of the 14 observations. Drafts and normal reports repeat, so equal texts are read once."""
    texts = tuple(texts)
    states = {text: labeller(text) for text in dict.fromkeys(texts)}
    return [states[text] for text in texts]


def finding_measures(predicted: Sequence[States], referenced: Sequence[States]) -> tuple[Measure, ...]:
    """All averages, and precision, recall and F1 of each observation, for both policies of uncertainty; 0..1."""
    return tuple(
        measure
        for policy, uncertain in UNCERTAIN_AS.items()
        for measure in _measures(_positive(predicted, uncertain), _positive(referenced, uncertain), policy)
    )


def average_name(average: str, statistic: str, observations: int, policy: str) -> str:
    """The full name of an averaged finding score, such as `micro F1, 14 findings, uncertain+`."""
    return f"{average} {statistic}, {observations} findings, {policy}"


def label_name(finding: str, statistic: str, policy: str) -> str:
    """The full name of one observation's score, such as `Edema F1, uncertain+`."""
    return f"{finding} {statistic}, {policy}"


def support(referenced: Sequence[States], *, uncertain: bool) -> dict[str, int]:
    """In how many references each observation is positive. Under 30 a figure of its own says little."""
    counts = _positive(referenced, uncertain).sum(axis=0)
    return dict(zip(FINDINGS, counts.tolist(), strict=True))


def is_normal(states: States) -> bool:
    """Whether no disease is stated or suspected; devices may be there."""
    quiet = {FindingState.ABSENT, FindingState.NOT_MENTIONED}
    return all(state in quiet for name, state in states.items() if name not in ("No Finding", "Support Devices"))


def _positive(states: Sequence[States], uncertain: bool) -> _Bools:
    """[R, 14]"""
    counted = {FindingState.PRESENT, FindingState.UNCERTAIN} if uncertain else {FindingState.PRESENT}
    rows = [[report.get(name) in counted for name in FINDINGS] for report in states]
    return np.array(rows, dtype=np.bool_).reshape(-1, _LABELS)


def _measures(predicted: _Bools, referenced: _Bools, policy: str) -> tuple[Measure, Measure]:
    hits = [predicted & referenced, predicted & ~referenced, ~predicted & referenced]
    by_report = [_per_report(*(hit[:, chosen] for hit in hits)) for chosen in _SETS.values()]
    statistics = np.column_stack([*hits, *by_report, np.ones(len(predicted))]).astype(np.float64)
    averages = Measure(
        names=tuple(
            average_name(average, statistic, count, policy)
            for average in AVERAGES
            for count in _SETS
            for statistic in STATISTICS
        ),
        statistics=statistics,
        finish=_averages,
        recipe=f"rules,{policy},empty=1",
    )
    observations = Measure(
        names=tuple(label_name(finding, statistic, policy) for statistic in STATISTICS for finding in FINDINGS),
        statistics=statistics[:, : 3 * _LABELS],
        finish=_observations,
        recipe=f"rules,{policy}",
    )
    return averages, observations


def _per_report(hit: _Bools, false: _Bools, missed: _Bools) -> Floats:
    """[R, 3]: precision, recall and F1 of the set of findings in each report; 1 where neither side has any."""
    scores = _scores(*(cell.sum(axis=1).astype(np.float64) for cell in (hit, false, missed)))
    agree = ~(hit | false | missed).any(axis=1, keepdims=True)
    return np.where(agree, 1.0, np.stack(scores, axis=-1))


def _scores(hit: Floats, false: Floats, missed: Floats) -> tuple[Floats, Floats, Floats]:
    return ratio(hit, hit + false), ratio(hit, hit + missed), ratio(2 * hit, 2 * hit + false + missed)


def _observations(sums: Floats) -> Floats:
    """[..., 42]: precision of the 14, then recall, then F1."""
    return np.concatenate(_scores(*np.split(sums, 3, axis=-1)), axis=-1)


def _averages(sums: Floats) -> Floats:
    """[..., 24], in the order of the names."""
    hits = np.split(sums[..., : 3 * _LABELS], 3, axis=-1)
    by_report = sums[..., 3 * _LABELS : -1].reshape(*sums.shape[:-1], len(_SETS), len(STATISTICS))
    columns: list[Floats] = []
    for average in (_micro, _macro, None, _weighted):
        for place, chosen in enumerate(_SETS.values()):
            if average is None:
                columns.append(ratio(by_report[..., place, :], sums[..., -1:]))
            else:
                columns.append(np.stack(average(*(hit[..., chosen] for hit in hits)), axis=-1))
    return np.concatenate(columns, axis=-1)


def _micro(hit: Floats, false: Floats, missed: Floats) -> tuple[Floats, Floats, Floats]:
    return _scores(hit.sum(axis=-1), false.sum(axis=-1), missed.sum(axis=-1))


def _macro(hit: Floats, false: Floats, missed: Floats) -> tuple[Floats, ...]:
    """Mean over the observations that either side has at all: one that nobody mentions is neither right nor wrong."""
    occurs = (hit + false + missed > 0).astype(np.float64)
    return tuple(ratio((score * occurs).sum(axis=-1), occurs.sum(axis=-1)) for score in _scores(hit, false, missed))


def _weighted(hit: Floats, false: Floats, missed: Floats) -> tuple[Floats, ...]:
    weight = hit + missed
    return tuple(ratio((score * weight).sum(axis=-1), weight.sum(axis=-1)) for score in _scores(hit, false, missed))
