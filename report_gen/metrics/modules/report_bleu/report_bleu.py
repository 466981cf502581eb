"""Module of the metric report_bleu for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ReportMetricModule


class ReportBleu(ReportMetricModule):
    """BLEU-1 to BLEU-4 of the corpus, 0 to 1, as coco-caption computes them."""

    metric_name = "report_bleu"
