"""SIGKILL, SIGTERM and SIGINT at random moments: a resumed run ends like an undisturbed one."""

from __future__ import annotations

from pathlib import Path

from report_gen_training.benchmarks.kill_and_resume import SIGNALS, stop_and_resume
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora


def test_a_stopped_run_ends_in_the_checkpoint_of_an_undisturbed_one(tmp_path: Path) -> None:
    """Two stages with dropout, augmentation, accumulation, EMA and drafts."""
    recipe = small_recipe(write_corpora(tmp_path, studies=4), stage={"steps": 4})
    result = stop_and_resume(recipe, tmp_path, stops=3)
    assert {stop.signal for stop in result.stops} == set(SIGNALS)
    assert result.difference == 0
    assert result.same_checkpoints
    assert result.same_logs
    assert result.remains == ()
