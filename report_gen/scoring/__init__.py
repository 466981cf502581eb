"""Scores that can be trusted: exact, offline, with their recipe, their noise, and baselines beside them."""

from report_gen.scoring.preset import Preset, load_preset
from report_gen.scoring.score import Score, score_reports

__all__ = ["Preset", "Score", "load_preset", "score_reports"]
