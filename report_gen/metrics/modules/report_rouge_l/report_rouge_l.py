"""Module of the metric report_rouge_l for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ReportMetricModule


class ReportRougeL(ReportMetricModule):
    """ROUGE-L with beta 1.2, mean over reports, 0 to 1, as coco-caption computes it."""

    metric_name = "report_rouge_l"
