"""Calibration on the validation studies: probabilities and thresholds of the finding head, and the image recognizer."""

from .finding_calibration import Calibration, TunedFindings, fit_calibration, fit_findings, tune_findings
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
]
