"""The table of the sequence encoders."""

from __future__ import annotations

import pytest
from report_gen_training.benchmarks.sequence import main


def test_every_kind_has_its_parameters_and_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    main(views=2, patches=1, width=512, rounds=1)
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [row[0].strip() for row in rows] == ["mean", "recurrent, lstm", "recurrent, gru", "attention"]
    mean, lstm, gru, attention = (float(row[1]) for row in rows)
    assert mean == 0 < gru < lstm < attention
    assert all(float(seconds) >= 0 for row in rows for seconds in row[2:])
