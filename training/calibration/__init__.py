"""Calibration on the validation studies: finding head, location head, and image recognizer."""

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
    "fit_thresholds",
    "tune_findings",
    "tune_locations",
]
