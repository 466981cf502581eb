"""A score run as files: JSON for programs, CSV with a row per report, HTML to look at. A file is whole or not there."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from report_gen import __version__
from report_gen.files import write_atomically
from report_gen.metrics.page import render_page
from report_gen.metrics.score_run import ScoreRun


def write_json(run: ScoreRun, path: Path) -> None:
    """Everything but the single reports. Raises OutputError."""
    write_atomically(path, json.dumps(run_to_dict(run), indent=2, allow_nan=False) + "\n")


def run_to_dict(run: ScoreRun) -> dict[str, Any]:
    """Everything but the single reports, as JSON has it."""
    table = {key: value for key, value in asdict(run).items() if key not in ("cases", "schema")}
    return {"version": __version__, "finding_schema": run.schema.name, **table, "fails": run.fails}


def write_csv(run: ScoreRun, path: Path) -> None:
    """A row per report: its scores, the findings missed and invented, both texts. Raises OutputError."""
    names = list(run.cases[0].scores)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *names, "missed", "invented", "prediction", "reference"])
    for case in run.cases:
        scores = [f"{case.scores[name]:.6f}" for name in names]
        findings = ["; ".join(case.missed), "; ".join(case.invented)]
        writer.writerow([case.name, *scores, *findings, case.prediction, case.reference])
    write_atomically(path, text.getvalue())


def write_html(run: ScoreRun, path: Path) -> None:
    """One page with pictures that needs nothing beside it. It quotes reports. Raises OutputError."""
    write_atomically(path, render_page(run))
