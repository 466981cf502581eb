"""Evaluate models on a corpus: drafts from own, shuffled and blank images against labels and reports."""

from report_gen.evaluation.comparison import ComparedModel, Comparer, Comparison, ReferenceScores
from report_gen.evaluation.comparison_files import write_comparison, write_comparison_csv, write_comparison_page
from report_gen.evaluation.comparison_tables import render_comparison
from report_gen.evaluation.corpus_drafts import BLANK, OWN, SHUFFLED, Track
from report_gen.evaluation.evaluation_corpus import EvaluationCorpus
from report_gen.evaluation.finding_head import can_score_finding_head, known_labels
from report_gen.evaluation.image_use import measure_image_use, shuffle_studies
from report_gen.evaluation.locations import training_boxes
from report_gen.evaluation.model_runs import FailedModel, ModelRun, ModelRuns, RunOptions, short_names
from report_gen.evaluation.result_tables import render_evaluation
from report_gen.evaluation.results import Evaluation, write_calibration, write_evaluation
from report_gen.evaluation.rows import (
    Row,
    has_labels,
    has_report,
    label_reports,
    nearest_candidates,
    request_from_row,
    select_studies,
    study_from_row,
    training_reports,
)
from report_gen.evaluation.runner import evaluate

__all__ = [
    "BLANK",
    "OWN",
    "SHUFFLED",
    "ComparedModel",
    "Comparer",
    "Comparison",
    "Evaluation",
    "EvaluationCorpus",
    "FailedModel",
    "ModelRun",
    "ModelRuns",
    "ReferenceScores",
    "Row",
    "RunOptions",
    "Track",
    "can_score_finding_head",
    "evaluate",
    "has_labels",
    "has_report",
    "known_labels",
    "label_reports",
    "measure_image_use",
    "nearest_candidates",
    "render_comparison",
    "render_evaluation",
    "request_from_row",
    "select_studies",
    "short_names",
    "shuffle_studies",
    "study_from_row",
    "training_boxes",
    "training_reports",
    "write_calibration",
    "write_comparison",
    "write_comparison_csv",
    "write_comparison_page",
    "write_evaluation",
]
