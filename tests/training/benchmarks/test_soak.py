"""Many drafts in one process: the same texts in every round, and a table of the memory."""

from __future__ import annotations

import pytest
from report_gen_training.benchmarks.soak import main

from tests.builders import write_checkpoint


def test_a_short_soak(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    """With 101 studies one is truncated; three rounds are too few to judge the memory."""
    checkpoint = write_checkpoint(tmp_path_factory.mktemp("soak") / "tiny")
    options = ["--studies", "101", "--drafts", "303", "--size", "64", "--max-tokens", "2"]
    main([*options, "--checkpoint", str(checkpoint)])
    out = capsys.readouterr().out
    assert "3 rounds over 101 studies" in out
    assert "different texts: 0" in out
    rows = [line.replace("│", " ").split() for line in out.splitlines() if line.startswith("│")]
    assert [row[:4] for row in rows[-3:]] == [[str(number), "100", "1", "0"] for number in (1, 2, 3)]
