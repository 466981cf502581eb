"""Calibration of the finding head on the validation studies: temperature and thresholds."""

from .temperature import Calibration, TunedFindings, fit_temperature, tune_findings
from .thresholds import fit_thresholds

__all__ = ["Calibration", "TunedFindings", "fit_temperature", "fit_thresholds", "tune_findings"]
