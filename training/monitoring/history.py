"""Read the log of a run, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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


def read_history(log: Path) -> list[StageHistory]:
    """Read the stages of a log in order; incomplete lines are skipped.

    Raises:
        UsageError: The log cannot be read.
    """
    stages: dict[str, StageHistory] = {}
    for record in _read_records(log):
        kind, name, step = (record.get(key) for key in ("kind", "stage", "step"))
        if kind in ("step", "validation") and isinstance(name, str) and isinstance(step, int):
            stage = stages.setdefault(name, StageHistory(name))
            (stage.steps if kind == "step" else stage.validations)[step] = record
    return list(stages.values())


def _read_records(log: Path) -> Iterator[Record]:
    try:
        with log.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    yield record
    except OSError as error:
        raise UsageError(f"{log}: cannot be read ({error.strerror}); check the run folder") from error
