"""Module of the metric report_cider_d for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ReportMetricModule


class ReportCiderD(ReportMetricModule):
    """CIDEr-D with document frequencies of the references, 0 to 10, as coco-caption computes it."""

    metric_name = "report_cider_d"
