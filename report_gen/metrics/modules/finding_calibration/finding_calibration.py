"""Module of the metric finding_calibration for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ProbabilityMetricModule


class FindingCalibration(ProbabilityMetricModule):
    """Expected calibration error (10 bins of equal mass) and Brier score of one finding."""

    metric_name = "finding_calibration"
