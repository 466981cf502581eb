"""Metrics of drafted reports: exact, offline, with signature, interval and baselines. `README.md` defines each metric.

This package needs neither torch nor `evaluate`. The modules for `evaluate.load` are found with `metric_folder`. Names
are loaded at their first use: tables need rich, and the functions that score do not.
"""

from typing import TYPE_CHECKING

from report_gen.lazy import lazy_exports

if TYPE_CHECKING:
    from report_gen.metrics.attribute_scores import AttributePrediction, attribute_measures, count_values
    from report_gen.metrics.auroc import auroc_scores, compare_mean_auroc
    from report_gen.metrics.baselines import CONSTANT, MOST_FREQUENT, NEAREST, RANDOM
    from report_gen.metrics.calibration import ALL_FINDINGS, CALIBRATION_BINS, ECE, Bin, expected_error, reliability
    from report_gen.metrics.cider import DocumentFrequencies, cider_d, document_frequencies
    from report_gen.metrics.diversity import DiversityStats, diversity_stats, is_collapsed
    from report_gen.metrics.finding_scores import States, average_name, finding_measures, label_name, label_reports
    from report_gen.metrics.head_scores import HeadRun, score_head
    from report_gen.metrics.joining import JoinedReports, notice_empty
    from report_gen.metrics.label_scores import MACRO_F1, LabelScores, score_labels
    from report_gen.metrics.localization import PlacedMap, Rectangle, mean_box_map
    from report_gen.metrics.location_scores import (
        ATTENTION_SCORES,
        BoxedFinding,
        LocatedFinding,
        LocationRun,
        score_locations,
    )
    from report_gen.metrics.location_tables import render_locations
    from report_gen.metrics.measure import Floats, Measure
    from report_gen.metrics.metric import ReportMetric, ReportTexts
    from report_gen.metrics.metric_suite import MetricResults, MetricSuite
    from report_gen.metrics.pairs import Pairs
    from report_gen.metrics.pairwise import PairTest, compare_pairs, measure_systems
    from report_gen.metrics.preset import Preset, load_preset
    from report_gen.metrics.probability_metric import PROBABILITY_METRICS, ProbabilityMetric
    from report_gen.metrics.registry import METRICS, metric_folder
    from report_gen.metrics.rouge import rouge_l_coco, rouge_score
    from report_gen.metrics.score import Score, scores_of
    from report_gen.metrics.score_files import (
        SCHEMA_VERSION,
        run_to_dict,
        write_csv,
        write_csv_of_models,
        write_html,
        write_json,
    )
    from report_gen.metrics.score_records import ScoreMethod, ScoreOptions, ScoreRun, SystemScores
    from report_gen.metrics.score_tables import (
        render_differences,
        render_head,
        render_labels,
        render_table,
        score_table,
    )
    from report_gen.metrics.scoring import run_score, score_reports, score_texts
    from report_gen.metrics.significance import Difference, SeedSpread, compare, intervals, resamplings, seed_spread
    from report_gen.metrics.training_reports import TrainingReports, baseline_drafts
    from report_gen.metrics.verdicts import Verdict, check_image_use, headline_scores
    from report_gen.metrics.word_diff import mark_differences
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "attribute_scores": ("AttributePrediction", "attribute_measures", "count_values"),
            "auroc": ("auroc_scores", "compare_mean_auroc"),
            "baselines": ("CONSTANT", "MOST_FREQUENT", "NEAREST", "RANDOM"),
            "calibration": ("ALL_FINDINGS", "CALIBRATION_BINS", "ECE", "Bin", "expected_error", "reliability"),
            "cider": ("DocumentFrequencies", "cider_d", "document_frequencies"),
            "diversity": ("DiversityStats", "diversity_stats", "is_collapsed"),
            "finding_scores": ("States", "average_name", "finding_measures", "label_name", "label_reports"),
            "head_scores": ("HeadRun", "score_head"),
            "joining": ("JoinedReports", "notice_empty"),
            "label_scores": ("MACRO_F1", "LabelScores", "score_labels"),
            "localization": ("PlacedMap", "Rectangle", "mean_box_map"),
            "location_scores": (
                "ATTENTION_SCORES",
                "BoxedFinding",
                "LocatedFinding",
                "LocationRun",
                "score_locations",
            ),
            "location_tables": ("render_locations",),
            "measure": ("Floats", "Measure"),
            "metric": ("ReportMetric", "ReportTexts"),
            "metric_suite": ("MetricResults", "MetricSuite"),
            "pairs": ("Pairs",),
            "pairwise": ("PairTest", "compare_pairs", "measure_systems"),
            "preset": ("Preset", "load_preset"),
            "probability_metric": ("PROBABILITY_METRICS", "ProbabilityMetric"),
            "registry": ("METRICS", "metric_folder"),
            "rouge": ("rouge_l_coco", "rouge_score"),
            "score": ("Score", "scores_of"),
            "score_files": (
                "SCHEMA_VERSION",
                "run_to_dict",
                "write_csv",
                "write_csv_of_models",
                "write_html",
                "write_json",
            ),
            "score_records": ("ScoreMethod", "ScoreOptions", "ScoreRun", "SystemScores"),
            "score_tables": ("render_differences", "render_head", "render_labels", "render_table", "score_table"),
            "scoring": ("run_score", "score_reports", "score_texts"),
            "significance": ("Difference", "SeedSpread", "compare", "intervals", "resamplings", "seed_spread"),
            "training_reports": ("TrainingReports", "baseline_drafts"),
            "verdicts": ("Verdict", "check_image_use", "headline_scores"),
            "word_diff": ("mark_differences",),
        },
    )

__all__ = [
    "ALL_FINDINGS",
    "ATTENTION_SCORES",
    "CALIBRATION_BINS",
    "CONSTANT",
    "ECE",
    "MACRO_F1",
    "METRICS",
    "MOST_FREQUENT",
    "NEAREST",
    "PROBABILITY_METRICS",
    "RANDOM",
    "SCHEMA_VERSION",
    "AttributePrediction",
    "Bin",
    "BoxedFinding",
    "Difference",
    "DiversityStats",
    "DocumentFrequencies",
    "Floats",
    "HeadRun",
    "JoinedReports",
    "LabelScores",
    "LocatedFinding",
    "LocationRun",
    "Measure",
    "MetricResults",
    "MetricSuite",
    "PairTest",
    "Pairs",
    "PlacedMap",
    "Preset",
    "ProbabilityMetric",
    "Rectangle",
    "ReportMetric",
    "ReportTexts",
    "Score",
    "ScoreMethod",
    "ScoreOptions",
    "ScoreRun",
    "SeedSpread",
    "States",
    "SystemScores",
    "TrainingReports",
    "Verdict",
    "attribute_measures",
    "auroc_scores",
    "average_name",
    "baseline_drafts",
    "check_image_use",
    "cider_d",
    "compare",
    "compare_mean_auroc",
    "compare_pairs",
    "count_values",
    "diversity_stats",
    "document_frequencies",
    "expected_error",
    "finding_measures",
    "headline_scores",
    "intervals",
    "is_collapsed",
    "label_name",
    "label_reports",
    "load_preset",
    "mark_differences",
    "mean_box_map",
    "measure_systems",
    "metric_folder",
    "notice_empty",
    "reliability",
    "render_differences",
    "render_head",
    "render_labels",
    "render_locations",
    "render_table",
    "resamplings",
    "rouge_l_coco",
    "rouge_score",
    "run_score",
    "run_to_dict",
    "score_head",
    "score_labels",
    "score_locations",
    "score_reports",
    "score_table",
    "score_texts",
    "scores_of",
    "seed_spread",
    "write_csv",
    "write_csv_of_models",
    "write_html",
    "write_json",
]
