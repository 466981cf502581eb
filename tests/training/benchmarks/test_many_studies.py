"""The benchmark of many studies: its arithmetic, and a run with a light model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from report_gen_training.benchmarks.light_checkpoint import write_images, write_light_checkpoint
from report_gen_training.benchmarks.process_tree import CommandRun, Sample, run_draft

from report_gen.errors import ReportGenError


def test_times_leave_the_start_out() -> None:
    """The start takes 10 s; then 8 studies take 4 s and 6 processor seconds. The last sample comes after the drafts."""
    samples = [Sample(5, 0, 3, 100), Sample(10, 2, 4, 200)]
    samples += [Sample(11 + number, 4 + 2 * number, 5.5 + 1.5 * number, 210 + number) for number in range(4)]
    run = CommandRun(0, (*samples, Sample(20, 10, 30, 50)))
    assert run.steady_seconds == pytest.approx(4 / 8)
    assert run.steady_cpu_seconds == pytest.approx(6 / 8)
    assert run.memory() == [205, 210.5, 211.5, 212]


def test_too_few_studies_are_no_measurement() -> None:
    with pytest.raises(ReportGenError, match="measure more studies"):
        _ = CommandRun(0, (Sample(1, 0, 1, 1), Sample(2, 5, 1, 1))).steady_seconds


def test_a_run_counts_all_processes(tmp_path: Path) -> None:
    write_light_checkpoint(tmp_path / "light")
    write_images(tmp_path / "in", 9)
    options = ["--checkpoint", tmp_path / "light", "--candidates", "1", "--workers", "1"]
    run = run_draft(
        [tmp_path / "in", "-o", tmp_path / "out", *options],
        lambda: len(list((tmp_path / "out").glob("*.txt"))),
        environment=os.environ,
        log=tmp_path / "log",
    )
    assert run.exit_code == 0, (tmp_path / "log").read_text()
    assert len(list((tmp_path / "out").glob("*.txt"))) == 9
    peak = max(sample.mib for sample in run.samples)
    assert peak > 150  # PyTorch is loaded in a worker, not in the process that was started
    assert run.samples[-1].cpu_seconds > 1
