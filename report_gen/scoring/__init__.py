"""Scores that can be trusted: exact, offline, with their recipe, their noise, and baselines beside them."""

from report_gen.scoring.preset import Preset, load_preset
from report_gen.scoring.running import run_score
from report_gen.scoring.score import Score, score_reports
from report_gen.scoring.score_run import ScoreOptions, ScoreRun
from report_gen.scoring.table import render_table
from report_gen.scoring.writing import write_csv, write_html, write_json

__all__ = [
    "Preset",
    "Score",
    "ScoreOptions",
    "ScoreRun",
    "load_preset",
    "render_table",
    "run_score",
    "score_reports",
    "write_csv",
    "write_html",
    "write_json",
]
