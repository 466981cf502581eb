"""Module of the metric report_findings for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ReportMetricModule


class ReportFindings(ReportMetricModule):
    """Precision, recall and F1 of the 14 CheXpert observations, in every average, 0 to 1, labeled by rules."""

    metric_name = "report_findings"
