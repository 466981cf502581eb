"""Two processes train like one, and invalid settings for several processes are refused."""

from __future__ import annotations

from pathlib import Path

from report_gen_training.benchmarks.child_processes import start
from report_gen_training.benchmarks.processes import compare
from report_gen_training.benchmarks.tiny_run import small_recipe, write_corpora

from report_gen.errors import UsageError
from report_gen.model import load_checkpoint


def test_two_processes_train_like_one(tmp_path: Path) -> None:
    """Reports differ in length and studies in kind, so a mean over rows or processes would give other weights."""
    recipe = small_recipe(write_corpora(tmp_path, studies=7), stage={"steps": 4, "batch_size": 5}, dropout=0.0)
    rows = compare(recipe, tmp_path)
    assert {row.kind for row in rows} == {"step", "validation"}
    assert max(abs(row.one - row.two) for row in rows) < 1e-4
    assert all(row.same_scores for row in rows)
    one, two = (load_checkpoint(tmp_path / name / "best").model.config.findings for name in "12")
    assert [value is None for value in one.present] == [value is None for value in two.present]


def test_a_batch_smaller_than_the_processes_is_refused_by_all(tmp_path: Path) -> None:
    recipe = small_recipe(write_corpora(tmp_path, studies=4), stage={"batch_size": 1})
    children = start(recipe, tmp_path / "run", processes=2)
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [UsageError.exit_code] * 2
