"""Scores that can be trusted: exact, offline, with their recipe, their noise, and baselines beside them."""

from report_gen.evaluation.image_use import measure_image_use, shuffle
from report_gen.metrics.export import write_csv, write_html, write_json
from report_gen.metrics.preset import Preset, load_preset
from report_gen.metrics.run_score import run_score, score_texts
from report_gen.metrics.score import Score, score_reports
from report_gen.metrics.score_run import ScoreMethod, ScoreOptions, ScoreRun
from report_gen.metrics.significance import Difference, SeedSpread, spread
from report_gen.metrics.table import render_table

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
