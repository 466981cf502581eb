"""Module of the metric report_rouge for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ReportMetricModule


class ReportRouge(ReportMetricModule):
    """ROUGE-1, ROUGE-2 and ROUGE-L F1, mean over reports, 0 to 1, as rouge-score computes them."""

    metric_name = "report_rouge"
