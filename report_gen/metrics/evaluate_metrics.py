"""The measures as `evaluate.Metric`s, for those who score in Python: `Bleu().compute(predictions=..., references=...)`.

They work without network and write nothing to the Hugging Face cache. Kept apart from the arithmetic, because importing
`evaluate` loads torch where it is installed.
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from report_gen.metrics.bleu import bleu
from report_gen.metrics.chrf import chrf
from report_gen.metrics.cider import cider_d
from report_gen.metrics.exact_stem import exact_stem
from report_gen.metrics.finding_scores import finding_measures, label_reports
from report_gen.metrics.length_ratio import length_ratio
from report_gen.metrics.measure import Measure
from report_gen.metrics.meteor import Meteor
from report_gen.metrics.pairs import Pairs
from report_gen.metrics.rouge import rouge_l_coco, rouge_score


class ReportMetric(evaluate.Metric):  # type: ignore[misc]  # evaluate ships no types
    """A measure of R predictions and R references, one each; gives a mapping from each of its names to its value."""

    def __init__(self) -> None:
        # evaluate makes its folder when it is built, and needs none later: everything stays in memory.
        with tempfile.TemporaryDirectory() as folder:
            super().__init__(keep_in_memory=True, cache_dir=folder)

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=self.__doc__ or "",
            citation="",
            inputs_description="predictions, references: one text each per report, words apart by white space",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
        measures = self.measure(Pairs(predictions, references))
        return {name: float(value) for one in measures for name, value in zip(one.names, one.values, strict=True)}

    @abstractmethod
    def measure(self, pairs: Pairs) -> tuple[Measure, ...]: ...


class Bleu(ReportMetric):
    """BLEU-1..4 as coco-caption computes it."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        return (bleu(pairs),)


class RougeLCoco(ReportMetric):
    """ROUGE-L as coco-caption computes it, beta 1.2."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        return (rouge_l_coco(pairs),)


class Rouge(ReportMetric):
    """ROUGE-1, ROUGE-2 and ROUGE-L as rouge-score computes them."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        return (rouge_score(pairs),)


class CiderD(ReportMetric):
    """CIDEr-D, document frequencies from the references."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        return (cider_d(pairs),)


class Chrf(ReportMetric):
    """chrF2 as sacrebleu computes it."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        return (chrf(pairs),)


class ExactStem(ReportMetric):
    """Unigram F of equal words and stems, for want of METEOR."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        return (exact_stem(pairs),)


class Meteor15(ReportMetric):
    """METEOR 1.5 by its Java program; raises UsageError where it is not installed."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        with Meteor() as meteor:
            return (meteor(pairs),)


class LengthRatio(ReportMetric):
    """Words predicted over words referenced."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        return (length_ratio(pairs),)


class FindingScores(ReportMetric):
    """Precision, recall and F1 of the 14 CheXpert findings, in every average, by rules."""

    def measure(self, pairs: Pairs) -> tuple[Measure, ...]:
        return finding_measures(label_reports(pairs.predictions), label_reports(pairs.references))
