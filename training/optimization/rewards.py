"""What a draft is worth in self-critical fine-tuning: the findings it shares with the report, and its words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from report_gen.metrics import (
    DocumentFrequencies,
    Floats,
    Pairs,
    average_name,
    cider_d,
    document_frequencies,
    finding_measures,
    label_reports,
)

from ..recipe.schema import RewardRecipe

_F1 = average_name("per-report", "F1", 14, "uncertain+")


def rewards(
    drafts: Sequence[str], references: Sequence[str], reward: RewardRecipe, frequencies: DocumentFrequencies
) -> Floats:
    """[drafts]: F1 of the findings (0..1) and CIDEr-D (0..10) of every draft, by the recipe's shares."""
    total = np.zeros(len(drafts))
    if reward.findings:
        measures = finding_measures(label_reports(drafts), label_reports(references))
        (measure,) = (measure for measure in measures if _F1 in measure.names)
        total += reward.findings * measure.per_report[:, measure.names.index(_F1)]
    if reward.cider:
        pairs = Pairs(list(_words(drafts)), list(_words(references)))
        total += reward.cider * cider_d(pairs, frequencies).per_report[:, 0]
    return total


def training_frequencies(references: Iterable[str]) -> DocumentFrequencies:
    """Document frequencies of n-grams in the reports of the training split."""
    return document_frequencies(_words(references))


def _words(texts: Iterable[str]) -> Iterator[str]:
    """In lower case, stops as words of their own."""
    for text in texts:
        yield " ".join(text.lower().replace(".", " . ").replace(",", " , ").split())
