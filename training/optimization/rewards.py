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
from report_gen.records.findings import FindingSchema

from ..recipe.schema import RewardRecipe


def rewards(
    drafts: Sequence[str],
    references: Sequence[str],
    reward: RewardRecipe,
    frequencies: DocumentFrequencies,
    schema: FindingSchema,
) -> Floats:
    """[drafts]: F1 of the findings (0..1) and CIDEr-D (0..10) of every draft, by the recipe's shares."""
    total = np.zeros(len(drafts))
    if reward.findings and schema.scored_findings:
        states = label_reports(drafts, schema=schema), label_reports(references, schema=schema)
        f1 = average_name("per-report", "F1", next(iter(schema.scored_sets)), "uncertain+")
        (measure,) = (measure for measure in finding_measures(*states, schema=schema) if f1 in measure.names)
        total += reward.findings * measure.per_report[:, measure.names.index(f1)]
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
