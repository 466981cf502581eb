"""Calibration on the validation studies: finding head, location head, and image recognizer."""

from .locations import tune_locations
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
    "tune_locations",
]
