"""Module of the metric report_meteor for `evaluate.load`.

`evaluate` copies this file to `HF_HOME/modules` and finds its imports by a regular expression: one import per line.
"""

from report_gen.metrics.evaluate_module import MeteorModule


class ReportMeteor(MeteorModule):
    """METEOR 1.5 of the corpus, 0 to 1, by its Java program; needs Java and pycocoevalcap."""

    metric_name = "report_meteor"
