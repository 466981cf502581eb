"""A monitored run leaves a checkpoint, curves and sample drafts, and can be resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_gen_training.monitoring import monitored_run
from report_gen_training.monitoring.monitored_run import train_watched

from report_gen.config import DeclaredScope
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


@pytest.mark.parametrize(("first", "second", "stated"), [(True, False, False), (False, True, True)])
def test_a_collapse_of_the_kept_weights_is_stated_at_the_end(
    first: bool, second: bool, stated: bool, tmp_path: Path
) -> None:
    """The validation of step 2 is that of the weights that were kept; step 3 was not better."""
    records = [
        {"kind": "validation", "stage": "all", "step": step, "chosen": chosen, "collapsed": collapsed}
        for step, chosen, collapsed in ((1, True, first), (2, True, second), (3, False, True))
    ]
    (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    recipe = tiny_recipe(tmp_path)
    model = recipe.model.model_copy(update={"scope": DeclaredScope(modalities=("DX",))})
    recipe = recipe.model_copy(update={"model": model})
    found = list(monitored_run._notices(recipe, tmp_path))
    assert [notice.startswith("the drafts of the kept weights have collapsed") for notice in found] == [True] * stated
