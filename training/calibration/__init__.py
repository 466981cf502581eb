"""Calibration on the validation studies: finding head, location head, attribute heads, and image recognizer."""

from .attributes import fit_threshold, tune_attributes
from .finding_calibration import Calibration, TunedFindings, fit_calibration, fit_findings, tune_findings
from .locations import tune_locations
from .recognizer import RecognizerResult, fit_recognizer
from .thresholds import fit_thresholds

__all__ = [
    "Calibration",
    "RecognizerResult",
    "TunedFindings",
    "fit_calibration",
    "fit_findings",
    "fit_recognizer",
    "fit_threshold",
    "fit_thresholds",
    "tune_attributes",
    "tune_findings",
    "tune_locations",
]
