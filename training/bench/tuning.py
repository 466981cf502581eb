"""Find the data type and number of threads with which a checkpoint drafts fastest here, without worse drafts.

Drafts in another data type may have other words. They are accepted if all texts equal those in float32, or if their
findings contradict the predicted ones no more often: the upper end of the 95% interval of the difference, over studies,
is at most `_TOLERATED`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.stats import bootstrap

from report_gen.drafting import Drafter
from report_gen.errors import ReportGenError, StudyError
from report_gen.generation import mismatched_findings
from report_gen.model import Tuning, load_checkpoint
from report_gen.records import FindingSchema, Report, Study

DTYPES: tuple[Literal["float32", "bfloat16", "int8"], ...] = ("float32", "bfloat16", "int8")
_TOLERATED = 0.05
"""Findings per draft that may contradict the predictions more often than in float32."""
_DRAWS = 2000


@dataclass(frozen=True, kw_only=True)
class Tried:
    """Time of drafts in one data type with a number of threads, and their difference from drafts in float32."""

    tuning: Tuning
    seconds: float
    """Median of the seconds per draft."""
    equal: float
    """Share of the drafts with the words of float32."""
    difference: tuple[float, float, float]
    """Findings per draft that contradict the predictions, less those in float32: mean and its 95% interval."""

    @property
    def accepted(self) -> bool:
        """Whether the drafts are as good as those in float32."""
        return self.equal == 1 or self.difference[2] <= _TOLERATED


@dataclass(frozen=True, kw_only=True)
class FailedDtype:
    """A data type in which a study cannot be drafted, although it can in float32."""

    dtype: str
    reason: str
    """The message of the error."""


def count_settings() -> int:
    """Return the largest number of settings: each data type with one thread and with all threads."""
    return len(DTYPES) * len({1, torch.get_num_threads()})


def try_settings(checkpoint: str, studies: Sequence[Study], *, timed: int) -> Iterator[Tried | FailedDtype]:
    """Draft studies in every data type, and time some of them with one and with all threads.

    Args:
        checkpoint: Folder of the checkpoint, or name of an embedded one.
        studies: Studies that compare the drafts.
        timed: How many of them are timed, each alone.

    Raises:
        ReportGenError: A study cannot be drafted in float32, or the checkpoint cannot be loaded.
    """
    all_threads = torch.get_num_threads()
    exact: list[Report] = []
    for dtype in DTYPES:
        try:
            drafter = Drafter.from_checkpoint(load_checkpoint(checkpoint), device="cpu", dtype=dtype)
            reports = [_draft(drafter, study) for study in studies]
        except ReportGenError as error:
            if not exact:  # float32, the first one
                raise
            yield FailedDtype(dtype=dtype, reason=str(error))
            continue
        exact = exact or reports
        schema = drafter.schema
        for threads in sorted({1, all_threads}):
            torch.set_num_threads(threads)
            yield Tried(
                tuning=Tuning(dtype=dtype, threads=threads),
                seconds=float(np.median([_seconds(drafter, study) for study in studies[:timed]])),
                equal=float(np.mean([_words(own) == _words(other) for own, other in zip(reports, exact, strict=True)])),
                difference=_difference(reports, exact, schema),
            )
        torch.set_num_threads(all_threads)


def fastest(tried: Sequence[Tried | FailedDtype]) -> Tried:
    """Return the fastest settings that are accepted; float32 always is."""
    return min((one for one in tried if isinstance(one, Tried) and one.accepted), key=lambda one: one.seconds)


def _draft(drafter: Drafter, study: Study) -> Report:
    (report,) = drafter.draft_all([study], force=True)
    if isinstance(report, StudyError):
        raise report
    return report


def _seconds(drafter: Drafter, study: Study) -> float:
    began = time.perf_counter()
    _draft(drafter, study)
    return time.perf_counter() - began


def _words(report: Report) -> str:
    return "\n".join(section.text for section in report.sections)


def _difference(
    reports: Sequence[Report], exact: Sequence[Report], schema: FindingSchema
) -> tuple[float, float, float]:
    """Return how many more findings per draft contradict the predictions: mean and 95% bootstrap interval."""
    own, other = (np.array([_contradictions(one, schema) for one in each]) for each in (reports, exact))
    differences = own - other
    mean = float(differences.mean())
    if (differences == differences[0]).all():
        return mean, mean, mean
    interval = bootstrap(
        (differences,), np.mean, n_resamples=_DRAWS, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return mean, float(interval.low), float(interval.high)


def _contradictions(report: Report, schema: FindingSchema) -> int:
    states = [finding.state for finding in report.findings]
    return len(mismatched_findings(_words(report), states, schema))
