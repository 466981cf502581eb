"""Run `report-gen draft`, and sample the processor time and memory of all its processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from report_gen.errors import ReportGenError

_MAIN = "import sys; from report_gen.cli import run; sys.argv[0] = 'report-gen'; run()"
_SECONDS = 1.0
"""Time between two samples."""


@dataclass(frozen=True)
class Sample:
    """State of a command at one moment."""

    seconds: float
    """Since its start."""
    done: int
    """Number of studies that are drafted."""
    cpu_seconds: float
    """Processor time of all processes so far, also of those that have ended, up to the sample before their end."""
    mib: float
    """Proportional set size of all processes: memory that several share counts once."""


@dataclass(frozen=True)
class CommandRun:
    """A command that has ended."""

    exit_code: int
    samples: tuple[Sample, ...]

    @property
    def steady_seconds(self) -> float:
        """Wall-clock seconds per study after the first sample with a draft, which leaves the start out."""
        first, last = self._between()
        return (last.seconds - first.seconds) / (last.done - first.done)

    @property
    def steady_cpu_seconds(self) -> float:
        """Processor seconds per study, in the same time."""
        first, last = self._between()
        return (last.cpu_seconds - first.cpu_seconds) / (last.done - first.done)

    def memory(self) -> list[float]:
        """Median memory of each quarter of the drafts, MiB."""
        first, last = self._between()
        edges = np.linspace(first.done, last.done, 5)
        return [
            float(np.median([one.mib for one in self.samples if low <= one.done <= high and one.done]))
            for low, high in pairwise(edges)
        ]

    def _between(self) -> tuple[Sample, Sample]:
        """Return the first sample with a draft, and the first one with all drafts."""
        working = [sample for sample in self.samples if sample.done]
        if not working or working[0].done == working[-1].done:
            raise ReportGenError("the drafts were finished between two samples; measure more studies")
        return working[0], next(sample for sample in working if sample.done == working[-1].done)


def run_draft(
    arguments: Sequence[object],
    count: Callable[[], int],
    *,
    environment: Mapping[str, str],
    log: Path,
    meanwhile: Callable[[int], None] = lambda _: None,
    also: Callable[[], Sequence[int]] = lambda: (),
) -> CommandRun:
    """Run `report-gen draft`.

    Args:
        arguments: Arguments behind `draft`.
        count: Returns the number of studies that are drafted.
        environment: Variables of the command.
        log: File for its messages.
        meanwhile: Called with the number of drafts at each sample.
        also: Returns further processes whose children belong to the command.
    """
    cpu: dict[tuple[int, float], float] = {}
    samples: list[Sample] = []
    began = time.monotonic()
    with log.open("w") as messages:
        process = subprocess.Popen(  # noqa: S603 - report-gen
            [sys.executable, "-c", _MAIN, "draft", *map(str, arguments)], stderr=messages, env=environment
        )
        while process.poll() is None:
            memory = 0.0
            for one in _tree([process.pid, *also()]):
                with suppress(psutil.Error):
                    times = one.cpu_times()
                    cpu[one.pid, one.create_time()] = times.user + times.system
                    memory += one.memory_full_info().pss / 2**20
            samples.append(Sample(time.monotonic() - began, count(), sum(cpu.values()), memory))
            meanwhile(samples[-1].done)
            time.sleep(_SECONDS)
    return CommandRun(process.returncode, tuple(samples))


def _tree(roots: Sequence[int]) -> Iterator[psutil.Process]:
    seen: set[int] = set()
    for root in roots:
        with suppress(psutil.Error):
            process = psutil.Process(root)
            for one in (process, *process.children(recursive=True)):
                if one.pid not in seen:
                    seen.add(one.pid)
                    yield one
