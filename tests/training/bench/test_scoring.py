"""`report-gen bench scoring`: the scores of pycocoevalcap and rouge-score are those of report-gen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from report_gen_training.bench.pairs import time_case
from report_gen_training.bench.scoring import TextPairs, draw_pairs, measure_command, read_texts, scoring_cases

from report_gen.errors import OutputError, UsageError

REPORTS = ["The lungs are clear.  No effusion.", "Mild cardiomegaly. No pneumothorax.", "Normal."]


def test_scores_are_those_of_the_other_libraries() -> None:
    cases = list(scoring_cases(draw_pairs(REPORTS, 60), against=True))
    assert [case.name for case in cases] == [
        "BLEU-1 to BLEU-4, 60 pairs",
        "ROUGE-L, 60 pairs",
        "CIDEr-D, 60 pairs",
        "ROUGE-1, -2 and -L (rouge-score), 60 pairs",
    ]
    assert all(time_case(case, rounds=2).same_results for case in cases)
    assert all(0 < score < 10 for case in cases for score in case.ours())


def test_different_scores_are_found() -> None:
    ours = next(scoring_cases(TextPairs(["no effusion"], ["no effusion"]), against=False))
    theirs = next(scoring_cases(TextPairs(["no effusion"], ["effusion"]), against=False))
    assert not ours.agree(ours.ours(), theirs.ours())


def test_texts_are_sentences_of_the_reports() -> None:
    pairs = draw_pairs(REPORTS, 50)
    assert pairs == draw_pairs(REPORTS, 50)
    words = {word for report in REPORTS for word in report.split()}
    assert {word for text in pairs.drafts + pairs.reports for word in text.split()} == words
    assert not any("  " in text for text in pairs.drafts)
    assert pairs.drafts != pairs.reports


def test_a_table_of_reports(tmp_path: Path) -> None:
    table = tmp_path / "reports.csv"
    table.write_text("uid,findings,impression\n1,Clear lungs.,Normal.\n2,,\n", encoding="utf-8")
    assert read_texts(table, tmp_path) == ["Clear lungs. Normal."]
    table.write_text("uid,text\n1,Clear lungs.\n", encoding="utf-8")
    with pytest.raises(UsageError, match="no report in the columns findings and impression"):
        read_texts(table, tmp_path)


@pytest.mark.parametrize(
    ("encoding", "separator"), [("utf-8", ","), ("utf-8-sig", ","), ("utf-8-sig", ";"), ("utf-16", "\t")]
)
def test_tables_of_spreadsheets(encoding: str, separator: str, tmp_path: Path) -> None:
    """Excel writes "CSV UTF-8" with a byte order mark, which is no part of the first name."""
    table = tmp_path / "reports.csv"
    rows = [["findings", "impression"], ["Clear lungs.", "Normal."]]
    table.write_text("".join(separator.join(row) + "\n" for row in rows), encoding=encoding)
    assert read_texts(table, tmp_path) == ["Clear lungs. Normal."]


def test_a_full_disk(small_files_only: Callable[[], AbstractContextManager[None]], tmp_path: Path) -> None:
    with small_files_only(), pytest.raises(OutputError, match=r"drafts\.csv: cannot be written \(File too large\)"):
        measure_command(draw_pairs(REPORTS, 200), tmp_path, rounds=1)


def test_drawn_reports_and_the_command(tmp_path: Path) -> None:
    texts = read_texts(None, tmp_path)
    assert any("effusion" in text for text in texts)
    start = measure_command(draw_pairs(texts, 20), tmp_path, rounds=1)
    assert start.command == "report-gen score, 20 pairs"
    assert start.cpu_median > 0
