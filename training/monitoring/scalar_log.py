"""Write a run for TensorBoard: `tensorboard --logdir RUN/tensorboard`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar, text

from report_gen.errors import OutputError

from ..recipe import StageRecipe, TuningRecipe
from ..run import Progress, Sample, Validation

FOLDER = "tensorboard"
_SHOWN = 4
"""Drafts written per validation."""


class TensorBoardLog:
    """Scalars and sample texts over the steps of all stages. Each stage starts after the maximum steps of the previous.

    The events contain report texts of patients, as the run folder does.
    """

    def __init__(self, folder: Path, stages: Sequence[StageRecipe | TuningRecipe]) -> None:
        self._folder = folder / FOLDER
        before = accumulate((stage.steps for stage in stages), initial=0)
        self._starts = dict(zip((stage.name for stage in stages), before, strict=False))
        self._file: BinaryIO | None = None

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def on_step(self, now: Progress) -> None:
        """Write losses, learning rates and speed.

        Raises:
            OutputError: The events cannot be written.
        """
        losses = {
            "training": now.loss,
            "training report": now.report_loss,
            "training findings": now.finding_loss,
            "training attributes": now.attribute_loss,
            "training sides and zones": now.location_loss,
            "training boxes": now.attention_loss,
        }
        scalars: dict[str, float | None] = {f"loss/{name}": loss for name, loss in losses.items()}
        scalars |= {f"learning rate/{part}": rate for part, rate in now.rates.items()}
        scalars["speed/studies per second"] = now.studies / now.seconds
        self._add(now.stage, now.step, scalars)

    def on_validation(self, now: Validation) -> None:
        """Write loss, scores, share of distinct drafts, and a few drafts with their references.

        Raises:
            OutputError: The events cannot be written.
        """
        scores = {f"validation/{name}": score for name, score in now.scores.items()}
        scores |= {f"validation/{name} accuracy": share for name, share in now.accuracies.items()}
        losses = {"loss/validation": now.loss} | {f"loss/validation {name}": part for name, part in now.losses.items()}
        self._add(now.stage, now.step, losses | {"validation/distinct": now.distinct} | scores)
        if now.samples:
            drafts = "\n\n".join(map(_markdown, now.samples[:_SHOWN]))
            self._write(self._starts[now.stage] + now.step, summary=text("drafts, not reviewed", drafts))

    def _add(self, stage: str, step: int, scalars: Mapping[str, float | None]) -> None:
        values = [scalar(name, value).value[0] for name, value in scalars.items() if value is not None]
        self._write(self._starts[stage] + step, summary=Summary(value=values))

    def _write(self, step: int, **event: Any) -> None:
        """Append an event to the file in this thread.

        The writer of torch uses another thread, in which a full disk would end in a traceback.
        """
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = (self._folder / f"events.out.tfevents.{time.time():.0f}.{os.getpid()}").open("ab", 0)
                self._append(file_version="brain.Event:2")
                # A resumed run repeats the steps after its last saved state; this hides their earlier events.
                self._append(step=step, session_log=SessionLog(status=SessionLog.START))
            self._append(step=step, **event)
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be written ({error.strerror}); free some space, or set tensorboard=false"
            ) from error

    def _append(self, **event: Any) -> None:
        RecordWriter(self._file).write(Event(wall_time=time.time(), **event).SerializeToString())


def _markdown(sample: Sample) -> str:
    """Format a sample as indented blocks, in which nothing of a report acts as markup."""
    texts = {"draft": sample.draft, "reference": sample.reference}
    blocks = [f"    {name}: {' '.join(text.split())}" for name, text in texts.items()]
    return "\n".join([f"    study {sample.study_id}", *blocks])
