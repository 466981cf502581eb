"""TensorBoard reads the events of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_gen_training.monitoring.scalar_log import TensorBoardLog
from report_gen_training.run.events import Progress, Sample, Validation
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from report_gen.errors import OutputError
from tests.builders import tiny_recipe

STAGES = [
    stage.model_copy(update={"name": name})
    for name in ("image_encoder", "decoder")
    for stage in tiny_recipe(Path()).stages
]


def progress(stage: str, step: int, loss: float) -> Progress:
    values = {"report_loss": None, "finding_loss": loss, "rates": {"decoder": 0.5}, "seconds": 0.25, "studies": 4}
    return Progress(stage=stage, step=step, steps=6, loss=loss, tokens=9, best=None, collapsed=False, **values)


def test_scalars_and_texts_are_placed_over_the_steps_of_all_stages(tmp_path: Path) -> None:
    sample = Sample(study_id="7", draft="FINDINGS:\n# Clear", reference="Normal.", images=())
    with TensorBoardLog(tmp_path, STAGES) as board:
        board.on_step(progress("image_encoder", 5, 3.0))
        board.on_step(progress("decoder", 1, 2.0))
        scores = {"loss": 1.5, "scores": {"CIDEr-D": 0.25}, "distinct": None, "collapsed": False}
        board.on_validation(Validation(stage="decoder", step=2, samples=[sample], **scores))
    with TensorBoardLog(tmp_path, STAGES) as board:  # resumed from before the end of the first stage
        board.on_step(progress("image_encoder", 6, 2.5))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("loss/training")] == [(5, 3.0), (6, 2.5)]
    assert [(one.step, one.value) for one in events.Scalars("speed/studies per second")] == [(5, 16.0), (6, 16.0)]
    assert "loss/training report" not in events.Tags()["scalars"]


def test_drafts_are_shown_as_plain_text(tmp_path: Path) -> None:
    sample = Sample(study_id="7", draft="FINDINGS:\n# Clear", reference="Normal.", images=())
    values = {"loss": 1.5, "scores": {"CIDEr-D": 0.25}, "distinct": 0.5, "collapsed": False, "samples": [sample]}
    with TensorBoardLog(tmp_path, STAGES) as board:
        board.on_validation(Validation(stage="decoder", step=2, accuracies={"plane": 0.75}, **values))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(one.step, one.value) for one in events.Scalars("validation/CIDEr-D")] == [(8, 0.25)]
    assert [(one.step, one.value) for one in events.Scalars("validation/plane accuracy")] == [(8, 0.75)]
    (text,) = events.Tensors("drafts, not reviewed/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert lines == ["    study 7", "    draft: FINDINGS: # Clear", "    reference: Normal."]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("a file")
    with (
        pytest.raises(OutputError, match=r"tensorboard: cannot be written .*tensorboard=false"),
        TensorBoardLog(tmp_path, STAGES) as board,
    ):
        board.on_step(progress("image_encoder", 1, 3.0))
