"""`report-gen bench training`: both loops train the same number of steps, in alternating order."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.bench import training
from report_gen_training.bench.training import TrainingSetup, time_training

from report_gen.phantom import write_phantom_corpus


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_both_loops_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_ENCODER", "test_vit")
    order = []
    for name in ("_train_ours", "_train_theirs"):
        loop = getattr(training, name)
        monkeypatch.setattr(training, name, lambda *a, loop=loop, name=name: order.append(name) or loop(*a))
    setup = TrainingSetup(
        corpus=write_phantom_corpus(tmp_path / "corpus", studies=60, size=32), frozen=False, batch_size=14, epochs=1
    )
    found = time_training(setup, tmp_path, rounds=2, against=True)
    assert order == ["_train_ours", "_train_theirs", "_train_theirs", "_train_ours"]
    assert len(found.step.seconds) == len(found.step.other_seconds) == 2
    assert found.step.ratio is not None
    assert found.step.ratio > 0
    assert found.preparation.median > 0
    assert all(2 < loss < 9 for loss in found.losses + found.other_losses)  # ln 2000 = 7.6 before training
    assert found.describe_losses().startswith("Validation loss after the last epoch")
