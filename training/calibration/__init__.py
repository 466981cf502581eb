"""Calibration on validation studies: heads for findings, locations and attributes, image recognizer, and changes."""

from .attributes import fit_threshold, lower_bound, tune_attributes
from .changes import LabeledPairs, fit_changes, predict_changes
from .finding_calibration import Calibration, TunedFindings, fit_calibration, fit_findings, tune_findings
from .locations import tune_locations
from .recognizer import RecognizerResult, fit_recognizer
from .thresholds import fit_thresholds

__all__ = [
    "Calibration",
    "LabeledPairs",
    "RecognizerResult",
    "TunedFindings",
    "fit_calibration",
    "fit_changes",
    "fit_findings",
    "fit_recognizer",
    "fit_threshold",
    "fit_thresholds",
    "lower_bound",
    "predict_changes",
    "tune_attributes",
    "tune_findings",
    "tune_locations",
]
