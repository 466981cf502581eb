"""Module of the metric report_exact_stem for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import ReportMetricModule


class ReportExactStem(ReportMetricModule):
    """Unigram F of equal words and stems (METEOR of 2005 without synonyms), mean over reports, 0 to 1."""

    metric_name = "report_exact_stem"
