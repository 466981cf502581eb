"""`kill -9` at random moments: the run goes on as if nothing had been."""

from __future__ import annotations

from pathlib import Path

from report_gen_training.benchmarks.kill_and_resume import disturb
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora


def test_a_killed_run_ends_in_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    """In two stages with dropout, augmentation, accumulation, an average of the weights and drafts."""
    recipe = small_recipe(write_corpora(tmp_path), stage={"steps": 4})
    result = disturb(recipe, tmp_path, kills=2)
    assert result.moments
    assert result.difference <= 1e-6
    assert result.same_log
