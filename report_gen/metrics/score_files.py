"""Write a score run as files: JSON for programs, CSV with one row per report, HTML with figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from report_gen import __version__
from report_gen.controls import escape_controls
from report_gen.files import write_atomically
from report_gen.metrics.cases import Case
from report_gen.metrics.score_page import render_page
from report_gen.metrics.score_records import ScoreRun

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""Characters with which a formula begins, in their full width as well."""

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

    The file is made for spreadsheets, which run a cell that begins like a formula. Such a text gets a leading
    apostrophe, which they hide; control characters are escaped. `write_json` changes no text.

    Raises:
        OutputError: The file cannot be written.
    """
    _write_rows(path, ["id"], [([case.study_id], case) for case in run.cases])


def write_csv_of_models(runs: Mapping[str, ScoreRun], path: Path) -> None:
    """Write one row per report and model as CSV, otherwise as `write_csv`.

    Args:
        runs: The scores by the name of the model.
        path: The file.

    Raises:
        OutputError: The file cannot be written.
    """
    rows = [([name, case.study_id], case) for name, run in runs.items() for case in run.cases]
    _write_rows(path, ["model", "id"], rows)


def _write_rows(path: Path, keys: Sequence[str], rows: Sequence[tuple[Sequence[str], Case]]) -> None:
    """Write rows of cells and cases; a cell is empty if a case lacks a score that others have."""
    names = list(dict.fromkeys(name for _, case in rows for name in case.scores))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # also where ; separates cells
    writer.writerow([*keys, *names, "missed", "invented", "prediction", "reference"])
    for cells, case in rows:
        scores = [f"{case.scores[name]:.6f}" if name in case.scores else "" for name in names]
        texts = ["; ".join(case.missed), "; ".join(case.invented), case.prediction, case.reference]
        writer.writerow([*map(_safe_cell, cells), *scores, *map(_safe_cell, texts)])
    write_atomically(path, text.getvalue())


def write_html(run: ScoreRun, path: Path) -> None:
    """Write one self-contained HTML page with figures. The page quotes reports.

    Raises:
        OutputError: The file cannot be written.
    """
    write_atomically(path, render_page(run))


def _safe_cell(text: str) -> str:
    """Return a text that a spreadsheet shows instead of running (owasp.org, CSV Injection)."""
    return escape_controls(f"'{text}" if text.startswith(_FORMULA) else text)
