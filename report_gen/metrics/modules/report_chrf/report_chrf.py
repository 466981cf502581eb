"""Module of the metric report_chrf for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ReportMetricModule


class ReportChrf(ReportMetricModule):
    """chrF2 of the corpus, 0 to 100, as sacrebleu computes it."""

    metric_name = "report_chrf"
