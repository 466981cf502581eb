"""Calibration on the validation studies: temperature and thresholds of the finding head, and the image recognizer."""

from .recognizer import RecognizerResult, fit_recognizer
from .temperature import Calibration, TunedFindings, fit_temperature, tune_findings
from .thresholds import fit_thresholds

__all__ = [
    "Calibration",
    "RecognizerResult",
    "TunedFindings",
    "fit_recognizer",
    "fit_temperature",
    "fit_thresholds",
    "tune_findings",
]
