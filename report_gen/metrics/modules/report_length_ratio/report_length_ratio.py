"""Module of the metric report_length_ratio for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ReportMetricModule


class ReportLengthRatio(ReportMetricModule):
    """Words of the predictions divided by words of the references, over the whole corpus."""

    metric_name = "report_length_ratio"
