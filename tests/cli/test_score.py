"""`report-gen score`: files in, table out, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from report_gen.cli.options import STRICT_CHECK_FAILED
from tests.cli.conftest import Command


@pytest.mark.usefixtures("no_java")
def test_scoring(report_gen: Command, tmp_path: Path) -> None:
    drafts, reports, table = tmp_path / "drafts.jsonl", tmp_path / "reports.jsonl", tmp_path / "scores.json"
    rows = [{"id": str(n), "report": text} for n, text in enumerate(("Clear lungs.", "Large heart.", "No effusion."))]
    for path in (drafts, reports):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = report_gen("score", drafts, reports, "--bootstrap", 0, "--json", table)
    assert answer.code == 0
    assert "BLEU-1" in answer.out
    assert json.loads(table.read_text())
    absent = report_gen("score", tmp_path / "absent.jsonl", reports)
    assert (absent.code, absent.out) == (3, "")
    assert "absent.jsonl" in absent.err


@pytest.mark.usefixtures("no_java")
def test_collapsed_drafts_end_a_strict_run_with_a_code_of_its_own(report_gen: Command, tmp_path: Path) -> None:
    texts = {"reports": [f"Opacity number {n}." for n in range(30)], "drafts": ["Clear lungs."] * 30}
    for name, lines in texts.items():
        rows = ({"id": str(n), "report": line} for n, line in enumerate(lines))
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = (tmp_path / "drafts.jsonl", tmp_path / "reports.jsonl")
    assert report_gen("score", *files, "--bootstrap", 0, "--strict").code == STRICT_CHECK_FAILED
    assert report_gen("score", *files, "--bootstrap", 0).code == 0


def test_a_negative_number_of_bootstrap_samples_is_refused(report_gen: Command, tmp_path: Path) -> None:
    answer = report_gen("score", tmp_path, tmp_path, "--bootstrap", -3)
    assert (answer.code, answer.out) == (2, "")
    assert "greater than or equal to 0" in answer.err
