"""Metrics of the probabilities that a finding head gives for one finding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from report_gen.metrics.auroc import AUROC, auroc
from report_gen.metrics.calibration import BRIER, BRIER_OF_PREVALENCE, ECE, calibration_measures
from report_gen.metrics.measure import Floats


@dataclass(frozen=True, kw_only=True)
class ProbabilityMetric:
    """A metric of the probabilities of one finding: its formula, which `report-gen evaluate` uses too, and its card."""

    name: str
    """Key in `PROBABILITY_METRICS` and name of the folder under `modules`."""
    description: str
    citation: str
    """BibTeX entry of the source paper."""
    score: Callable[[Floats, Floats], dict[str, float]]
    """Computes scores from probabilities [S] and labels [S]."""

    def compute(self, predictions: Sequence[float], references: Sequence[float]) -> dict[str, float]:
        """Compute the scores by name.

        Args:
            predictions: Probability of the finding in each of S > 0 studies.
            references: Label of each study, 1 or 0.

        Raises:
            ValueError: The numbers of predictions and references differ, or there are none.
        """
        if not len(predictions) or len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} predictions for {len(references)} references; give one for each")
        return self.score(np.asarray(predictions, dtype=np.float64), np.asarray(references, dtype=np.float64))


def _auroc(probabilities: Floats, labels: Floats) -> dict[str, float]:
    return {AUROC: float(auroc(probabilities, labels > 0, np.ones(len(labels))))}


def _calibration(probabilities: Floats, labels: Floats) -> dict[str, float]:
    measures = calibration_measures(["finding"], probabilities[:, None], labels[:, None])
    values = dict(pair for measure in measures for pair in measure.named_values())
    return {score: values[f"finding {score}"] for score in (ECE, BRIER, BRIER_OF_PREVALENCE)}


PROBABILITY_METRICS: Mapping[str, ProbabilityMetric] = MappingProxyType(
    {
        "finding_auroc": ProbabilityMetric(
            name="finding_auroc",
            description="Area under the ROC curve of the probabilities of one finding; ties count half.",
            citation="""@article{hanley1982meaning,
  title = {The meaning and use of the area under a receiver operating characteristic ({ROC}) curve},
  author = {Hanley, James A. and McNeil, Barbara J.},
  journal = {Radiology},
  year = {1982}
}""",
            score=_auroc,
        ),
        "finding_calibration": ProbabilityMetric(
            name="finding_calibration",
            description="Expected calibration error (10 bins of equal mass) and Brier score of one finding.",
            citation="""@inproceedings{naeini2015obtaining,
  title = {Obtaining well calibrated probabilities using {Bayesian} binning},
  author = {Naeini, Mahdi Pakdaman and Cooper, Gregory F. and Hauskrecht, Milos},
  booktitle = {AAAI},
  year = {2015}
}""",
            score=_calibration,
        ),
    }
)
"""Every metric of probabilities, by name."""
