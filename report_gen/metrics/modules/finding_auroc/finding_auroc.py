"""Module of the metric finding_auroc for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ProbabilityMetricModule


class FindingAuroc(ProbabilityMetricModule):
    """Area under the ROC curve of the probabilities of one finding; ties count half."""

    metric_name = "finding_auroc"
