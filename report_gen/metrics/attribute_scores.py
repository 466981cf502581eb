"""Modality, plane and body part: does a draft name what was imaged, and does the head of the model know it?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen.labeling.attributes import named_values
from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.records.report import ATTRIBUTES, AttributeName

Values = Mapping[AttributeName, str]


@dataclass(frozen=True, kw_only=True)
class StudyPrediction:
    """What was said of one study."""

    draft: str
    seen: Values
    """By the head of the model, of the attributes that it knows."""


def attribute_measures(
    truths: Sequence[Values], references: Sequence[str], told: Sequence[StudyPrediction]
) -> tuple[Measure, ...]:
    """Shares 0..1 by attribute, each over the studies that it can be asked of; one without any is left out.

    `NAME named`: of the studies whose reference names the true value first, those whose draft does. A text that names
    several has the first, which is that of its image more often than not; so listing them all gains nothing.
    `NAME recognised`: of the studies whose true value is known, those of which the head has it.

    Args:
        truths: values that the corpus gives; "" is not known.
        references: findings of the reports, "" where there is none.
    """
    return tuple(measure for name in ATTRIBUTES for measure in _measures(name, truths, references, told))


def count_values(truths: Sequence[Values]) -> dict[AttributeName, dict[str, int]]:
    """Studies by attribute and true value, the commonest first; its share is what a constant answer would reach."""
    counts = {name: Counter(truth[name] for truth in truths if truth[name]) for name in ATTRIBUTES}
    return {name: dict(counted.most_common()) for name, counted in counts.items() if counted}


def _measures(
    name: AttributeName, truths: Sequence[Values], references: Sequence[str], told: Sequence[StudyPrediction]
) -> Iterator[Measure]:
    true = [truth[name] for truth in truths]
    asked = [bool(value) and _first(name, text) == value for value, text in zip(true, references, strict=True)]
    said = [_first(name, one.draft) for one in told]
    if any(asked):
        yield _share(f"{name} named", said, true, asked)
    if any(true) and any(name in one.seen for one in told):
        yield _share(f"{name} recognised", [one.seen.get(name, "") for one in told], true, list(map(bool, true)))


def _first(name: AttributeName, text: str) -> str:
    return next(iter(named_values(name, text)), "")


def _share(name: str, said: Sequence[str], true: Sequence[str], asked: Sequence[bool]) -> Measure:
    right = [value == truth for value, truth in zip(said, true, strict=True)]
    statistics = np.column_stack([np.logical_and(right, asked), asked]).astype(np.float64)
    return Measure(names=(name,), statistics=statistics, finish=_finish, recipe="rules", of_one_report=False)


def _finish(sums: Floats) -> Floats:
    return ratio(sums[..., :1], sums[..., 1:])
