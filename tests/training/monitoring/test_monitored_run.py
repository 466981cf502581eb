"""A monitored run leaves a checkpoint, curves and sample drafts, and can be resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.monitoring.monitored_run import train_watched

from report_gen.errors import UsageError
from report_gen.model import load_checkpoint
from tests.builders import tiny_recipe, write_corner_corpus


def test_a_monitored_run_can_be_resumed(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_corner_corpus(tmp_path), stage={"steps": 2}, tensorboard=False)
    checkpoint = train_watched(recipe, tmp_path / "run")
    assert load_checkpoint(checkpoint).model.config.name == "tiny"
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "Sample drafts of tiny" in (tmp_path / "run" / "samples.html").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="already holds a run"):
        train_watched(recipe, tmp_path / "run")
    assert train_watched(recipe, tmp_path / "run", resume=True) == checkpoint
