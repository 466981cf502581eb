"""`kill -9` at random moments: the resumed run ends like an undisturbed one."""

from __future__ import annotations

from pathlib import Path

from report_gen_training.benchmarks.kill_and_resume import kill_and_resume
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora


def test_a_killed_run_ends_in_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    """Two stages with dropout, augmentation, accumulation, EMA and drafts."""
    recipe = small_recipe(write_corpora(tmp_path), stage={"steps": 4})
    result = kill_and_resume(recipe, tmp_path, kills=2)
    assert result.moments
    assert result.difference <= 1e-6
    assert result.same_log
