"""Reward drafts in self-critical training: F1 of their findings, and CIDEr-D."""

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
from report_gen.records import FindingSchema

from ..recipe import ScstRecipe


def rewards(
    drafts: Sequence[str],
    references: Sequence[str],
    scst: ScstRecipe,
    frequencies: DocumentFrequencies,
    schema: FindingSchema,
) -> Floats:
    """Return the reward [drafts] of every draft: finding F1 (0..1) and CIDEr-D (0..10), weighted by the recipe.

    Args:
        drafts: Drafts as text.
        references: Report of the study of each draft.
        scst: Weights of the two parts of the reward.
        frequencies: Document frequencies in the training reports, for CIDEr-D.
        schema: The findings that are labeled in the texts.
    """
    total = np.zeros(len(drafts))
    if scst.finding_f1_weight and schema.scored_findings:
        states = label_reports(drafts, schema=schema), label_reports(references, schema=schema)
        f1 = average_name("per-report", "F1", next(iter(schema.scored_sets)), "uncertain+")
        (measure,) = (measure for measure in finding_measures(*states, schema=schema) if f1 in measure.names)
        total += scst.finding_f1_weight * measure.per_report[:, measure.names.index(f1)]
    if scst.cider_weight:
        pairs = Pairs(list(_tokenize(drafts)), list(_tokenize(references)))
        total += scst.cider_weight * cider_d(pairs, frequencies).per_report[:, 0]
    return total


def training_frequencies(references: Iterable[str]) -> DocumentFrequencies:
    """Count the document frequencies of n-grams in the training reports."""
    return document_frequencies(_tokenize(references))


def _tokenize(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts in lower case, with full stops and commas as separate words."""
    for text in texts:
        yield " ".join(text.lower().replace(".", " . ").replace(",", " , ").split())
