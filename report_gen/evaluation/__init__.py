"""Evaluate a model on a corpus: drafts from own, shuffled and blank images against labels and reports."""

from report_gen.evaluation.finding_head import can_score_finding_head, known_labels
from report_gen.evaluation.image_use import measure_image_use, shuffle_studies
from report_gen.evaluation.locations import training_boxes
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
from report_gen.evaluation.runner import BLANK, OWN, SHUFFLED, evaluate

__all__ = [
    "BLANK",
    "OWN",
    "SHUFFLED",
    "Evaluation",
    "Row",
    "can_score_finding_head",
    "evaluate",
    "has_labels",
    "has_report",
    "known_labels",
    "label_reports",
    "measure_image_use",
    "nearest_candidates",
    "render_evaluation",
    "request_from_row",
    "select_studies",
    "shuffle_studies",
    "study_from_row",
    "training_boxes",
    "training_reports",
    "write_calibration",
    "write_evaluation",
]
