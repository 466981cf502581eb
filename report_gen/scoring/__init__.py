"""Scores that can be trusted: exact, offline, with their recipe, their noise, and baselines beside them."""

from report_gen.scoring.image_use import measure_image_use, shuffle
from report_gen.scoring.noise import Difference, SeedSpread, spread
from report_gen.scoring.preset import Preset, load_preset
from report_gen.scoring.running import run_score, score_texts
from report_gen.scoring.score import Score, score_reports
from report_gen.scoring.score_run import ScoreMethod, ScoreOptions, ScoreRun
from report_gen.scoring.table import render_table
from report_gen.scoring.writing import write_csv, write_html, write_json

__all__ = [
    "Difference",
    "Preset",
    "Score",
    "ScoreMethod",
    "ScoreOptions",
    "ScoreRun",
    "SeedSpread",
    "load_preset",
    "measure_image_use",
    "render_table",
    "run_score",
    "score_reports",
    "score_texts",
    "shuffle",
    "spread",
    "write_csv",
    "write_html",
    "write_json",
]
