"""The benchmark of volumes prints the costs of each step, for the series that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.benchmarks.volumes import main, write_series

from report_gen.imaging import read_study
from report_gen.imaging.volumes import find_stacks


def test_the_costs_of_a_small_series(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--slices", "5", "--size", "32", "--length", "10"])
    out = capsys.readouterr().out
    assert "slices of 32 x 32, scan of 10 mm" in out
    (row,) = [line.replace("│", " ").split() for line in out.splitlines() if line.startswith("│ ")]
    assert row[0] == "5"
    seconds, megabytes = [float(cell) for cell in row[1::2]], [float(cell) for cell in row[2::2]]
    assert len(seconds) == len(megabytes) == 3
    assert all(0 < one < 60 for one in seconds)
    assert all(10 < one < 2000 for one in megabytes)


def test_the_series_is_a_regular_volume(tmp_path: Path) -> None:
    write_series(tmp_path, 6, size=16, length=12)
    (stack,) = find_stacks(read_study(tmp_path)).stacks
    assert (len(stack.images), stack.spacing, stack.notices) == (6, pytest.approx(2), ())
