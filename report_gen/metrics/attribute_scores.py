"""Scores of image attributes (modality, plane, body part): named in the draft, and predicted by the attribute heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from report_gen.labeling import named_values
from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.records import ATTRIBUTES, AttributeName

Values = Mapping[AttributeName, str]


@dataclass(frozen=True, kw_only=True)
class AttributePrediction:
    """The draft of one study and the attributes that the model predicted for it."""

    draft: str
    predicted: Values
    """Most probable value of each attribute that the model has a head for."""


def attribute_measures(
    truths: Sequence[Values], references: Sequence[str], predictions: Sequence[AttributePrediction]
) -> tuple[Measure, ...]:
    """Compute the accuracy of each attribute, 0 to 1, over the studies where it is defined.

    `NAME named`: share of drafts that name the true value first, among studies whose reference does. Only the first
    value that a text names counts, so that listing all values gains nothing.
    `NAME recognized`: share of studies whose true value the attribute head predicts, among studies with a true value.
    A score without any study is left out.

    Args:
        truths: Attributes of each study in the corpus; "" if unknown.
        references: Findings sections of the reports; "" without a report.
        predictions: Draft and predicted attributes of each study.
    """
    return tuple(measure for name in ATTRIBUTES for measure in _measures(name, truths, references, predictions))


def count_values(truths: Sequence[Values]) -> dict[AttributeName, dict[str, int]]:
    """Count studies by attribute and true value, the most frequent first.

    The share of the most frequent value is the accuracy of a constant answer.
    """
    counts = {name: Counter(truth[name] for truth in truths if truth[name]) for name in ATTRIBUTES}
    return {name: dict(counted.most_common()) for name, counted in counts.items() if counted}


def _measures(
    name: AttributeName,
    truths: Sequence[Values],
    references: Sequence[str],
    predictions: Sequence[AttributePrediction],
) -> Iterator[Measure]:
    values = [truth[name] for truth in truths]
    in_reference = [bool(value) and _first(name, text) == value for value, text in zip(values, references, strict=True)]
    if any(in_reference):
        named = [_first(name, one.draft) for one in predictions]
        yield _accuracy(f"{name} named", named, values, in_reference)
    if any(values) and any(name in one.predicted for one in predictions):
        predicted = [one.predicted.get(name, "") for one in predictions]
        yield _accuracy(f"{name} recognized", predicted, values, list(map(bool, values)))


def _first(name: AttributeName, text: str) -> str:
    return next(iter(named_values(name, text)), "")


def _accuracy(name: str, predicted: Sequence[str], true: Sequence[str], counted: Sequence[bool]) -> Measure:
    correct = [value == truth for value, truth in zip(predicted, true, strict=True)]
    statistics = np.column_stack([np.logical_and(correct, counted), counted]).astype(np.float64)
    return Measure(names=(name,), statistics=statistics, finish=_finish, variant="rules", defined_per_report=False)


def _finish(sums: Floats) -> Floats:
    return ratio(sums[..., :1], sums[..., 1:])
