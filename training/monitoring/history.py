"""Read the log of a run, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from report_gen.errors import UsageError

Record = Mapping[str, Any]


@dataclass(frozen=True)
class StageHistory:
    """Log records of one stage by step. If a step was repeated after a crash, its last record counts."""

    name: str
    steps: dict[int, Record] = field(default_factory=dict)
    validations: dict[int, Record] = field(default_factory=dict)

    @property
    def kept(self) -> Mapping[int, Record]:
        """The validation of the weights that the stage kept, by step; empty without validations."""
        chosen = [step for step, record in self.validations.items() if record.get("chosen")]
        return {step: self.validations[step] for step in chosen[-1:]}

    @property
    def length(self) -> int:
        """Number of steps done."""
        return max([*self.steps, *self.validations], default=0)


class _Line(BaseModel):
    """The entries of a line that a plot shows; other entries are left out."""

    model_config = ConfigDict(strict=True)

    kind: Literal["step", "validation"]
    stage: str
    step: int = Field(ge=0, le=2**53)
    loss: float | None = None
    losses: dict[str, float | None] | None = None
    scores: dict[str, float | None] | None = None
    accuracies: dict[str, float | None] | None = None
    rates: dict[str, float | None] | None = None
    distinct: float | None = None
    collapsed: bool = False
    chosen: bool = False


def read_history(log: Path) -> list[StageHistory]:
    """Read the stages of a log in order; lines that are incomplete or malformed are skipped.

    Raises:
        UsageError: The log cannot be read.
    """
    stages: dict[str, StageHistory] = {}
    for line in _read_lines(log):
        stage = stages.setdefault(line.stage, StageHistory(line.stage))
        (stage.steps if line.kind == "step" else stage.validations)[line.step] = line.model_dump()
    return list(stages.values())


def _read_lines(log: Path) -> Iterator[_Line]:
    try:
        with log.open("rb") as lines:
            for line in lines:
                with suppress(ValidationError):
                    yield _Line.model_validate_json(line)
    except OSError as error:
        raise UsageError(f"{log}: cannot be read ({error.strerror}); check the run folder") from error
