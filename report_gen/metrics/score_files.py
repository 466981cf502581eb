"""Write a score run as files: JSON for programs, CSV with one row per report, HTML with figures."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from report_gen import __version__
from report_gen.files import write_atomically
from report_gen.metrics.score_page import render_page
from report_gen.metrics.score_records import ScoreRun

SCHEMA_VERSION = 2
"""Version of the JSON of `score` and `evaluate`. Version 1, written before this field existed, had other names."""


def write_json(run: ScoreRun, path: Path) -> None:
    """Write everything but the single reports as JSON.

    Raises:
        OutputError: The file cannot be written.
    """
    document = {"schema_version": SCHEMA_VERSION, **run_to_dict(run)}
    write_atomically(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def run_to_dict(run: ScoreRun) -> dict[str, Any]:
    """Convert everything but the single reports to JSON values."""
    table = {key: value for key, value in asdict(run).items() if key not in ("cases", "schema")}
    return {"version": __version__, "finding_schema": run.schema.name, **table, "fails": run.fails}


def write_csv(run: ScoreRun, path: Path) -> None:
    """Write one row per report as CSV: scores, missed and invented findings, and both texts.

    Raises:
        OutputError: The file cannot be written.
    """
    names = list(run.cases[0].scores)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *names, "missed", "invented", "prediction", "reference"])
    for case in run.cases:
        scores = [f"{case.scores[name]:.6f}" for name in names]
        findings = ["; ".join(case.missed), "; ".join(case.invented)]
        writer.writerow([case.study_id, *scores, *findings, case.prediction, case.reference])
    write_atomically(path, text.getvalue())


def write_html(run: ScoreRun, path: Path) -> None:
    """Write one self-contained HTML page with figures. The page quotes reports.

    Raises:
        OutputError: The file cannot be written.
    """
    write_atomically(path, render_page(run))
