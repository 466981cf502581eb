"""F1 of the labels that drafts state, over a fixed list of labels, with what states them without looking beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.metrics.score import Score, scores_of
from report_gen.metrics.significance import Difference, compare

MACRO = "macro F1"
ALL_POSITIVE, COMMONEST = "all positive", "commonest draft"

Labels = frozenset[str]


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """What the drafts state of a list of labels."""

    support: Mapping[str, int]
    """Studies that have each label."""
    scores: tuple[Score, ...]
    """`MACRO`, then the F1 of each label, under its name; 0..1."""
    against: Mapping[str, tuple[Difference, ...]]
    """The same scores minus those of controls and of what needs no model, by the name of that."""


def score_labels(
    names: Sequence[str],
    truth: Sequence[Labels],
    own: Sequence[Labels],
    controls: Mapping[str, Sequence[Labels]],
    *,
    draws: int,
    seed: int,
) -> LabelScores:
    """Hold the labels that the drafts of R studies state against those that the studies have.

    Beside the `controls` stand every label for every study, and for every study what the drafts state most often.

    Args:
        names: the labels that count.
        truth: of each study.
        own: what its draft states.
        controls: the same of drafts from other images.
    """
    commonest = Counter(own).most_common(1)[0][0]
    blind = {ALL_POSITIVE: [frozenset(names)] * len(own), COMMONEST: [commonest] * len(own)}
    measure = _measure(names, own, truth)
    return LabelScores(
        support={name: sum(name in labels for labels in truth) for name in names},
        scores=scores_of([measure], f"labels:{len(names)}", draws=draws, seed=seed),
        against={
            name: compare([_measure(names, said, truth)], [measure], draws, seed)
            for name, said in {**controls, **blind}.items()
        },
    )


def _measure(names: Sequence[str], said: Sequence[Labels], truth: Sequence[Labels]) -> Measure:
    here, there = (np.array([[name in one for name in names] for one in labels]) for labels in (said, truth))
    counts = np.column_stack([here & there, here, there]).astype(np.float64)
    return Measure(
        names=(MACRO, *names), statistics=counts, finish=_f1, recipe="uncertain-,macro:all", of_one_report=False
    )


def _f1(sums: Floats) -> Floats:
    """Sums [..., 3L] of hits, said and true -> [..., 1 + L]: the mean over all labels, then each.

    A label that neither side has counts 0 in the mean, as in scikit-learn: so every system is averaged over the same
    labels, whatever it says.
    """
    hits, said, true = np.split(sums, 3, axis=-1)
    each = ratio(2 * hits, said + true)
    return np.concatenate([each.mean(axis=-1, keepdims=True), each], axis=-1)
