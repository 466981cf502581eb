"""The memory benchmark runs and prints the current task."""

from __future__ import annotations

import pytest
from report_gen_training.benchmarks.memory import main


def test_a_small_corpus_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rows", "300", "--images", "3", "--steps", "2", "--every", "0.2"])
    printed = capsys.readouterr().out
    assert "300 rows" in printed
    assert "step 2" in printed
    peak = float(printed.rsplit("peak:", 1)[1].split()[0].replace(",", ""))
    assert 100 < peak < 20_000  # MB: torch alone takes some hundred
