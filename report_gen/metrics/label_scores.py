"""F1 of the labels that drafts state, over a fixed list of labels, beside controls and baselines without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.metrics.score import Score, scores_of
from report_gen.metrics.significance import Difference, compare

MACRO_F1 = "macro F1"
ALL_POSITIVE, MOST_FREQUENT_LABELS = "all positive", "most frequent draft"

Labels = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """Scores of the labels that drafts state."""

    support: Mapping[str, int]
    """Number of studies with each label."""
    scores: tuple[Score, ...]
    """`MACRO_F1`, then the F1 of each label under its name; 0 to 1."""
    against: Mapping[str, tuple[Difference, ...]]
    """The same scores minus the scores of each control and baseline, by its name."""


def score_labels(
    names: Sequence[str],
    truth: Sequence[Labels],
    own: Sequence[Labels],
    controls: Mapping[str, Sequence[Labels]],
    *,
    draws: int,
    seed: int,
) -> LabelScores:
    """Compare the labels that the drafts of R studies state with the labels of the studies.

    Two baselines are compared besides the controls: all labels for every study, and for every study the set of labels
    that the drafts state most often.

    Args:
        names: The labels that count.
        truth: Labels of each study.
        own: Labels that each draft from the study's own images states.
        controls: The same of drafts from control images, by the control's name.
        draws: Bootstrap resamplings of the studies; 0 for no intervals.
        seed: Seed of the bootstrap.
    """
    most_frequent = Counter(own).most_common(1)[0][0]
    baselines = {ALL_POSITIVE: [frozenset(names)] * len(own), MOST_FREQUENT_LABELS: [most_frequent] * len(own)}
    measure = _measure(names, own, truth)
    return LabelScores(
        support={name: sum(name in labels for labels in truth) for name in names},
        scores=scores_of([measure], f"labels:{len(names)}", draws=draws, seed=seed),
        against={
            name: compare([_measure(names, stated, truth)], [measure], draws, seed)
            for name, stated in {**controls, **baselines}.items()
        },
    )


def _measure(names: Sequence[str], stated: Sequence[Labels], truth: Sequence[Labels]) -> Measure:
    predicted, true = (np.array([[name in one for name in names] for one in labels]) for labels in (stated, truth))
    counts = np.column_stack([predicted & true, predicted, true]).astype(np.float64)
    return Measure(
        names=(MACRO_F1, *names),
        statistics=counts,
        finish=_f1,
        variant="uncertain-,macro:all",
        defined_per_report=False,
    )


def _f1(sums: Floats) -> Floats:
    """Compute F1 [..., 1 + L], the mean first, from sums [..., 3L] of matches, predicted and true labels.

    A label that is on neither side counts 0 in the mean, as in scikit-learn, so that every system is averaged over the
    same labels.
    """
    matches, predicted, true = np.split(sums, 3, axis=-1)
    each = ratio(2 * matches, predicted + true)
    return np.concatenate([each.mean(axis=-1, keepdims=True), each], axis=-1)
