"""Draft a batch of studies under a time limit for each study."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from report_gen.drafting.limits import Deadline, StudyLimits
from report_gen.drafting.prepared_study import PreprocessedStudy
from report_gen.errors import StudyError, without_traceback
from report_gen.records import Report

DraftBatch = Callable[[Sequence[PreprocessedStudy], Deadline], Sequence[Report]]
"""Drafts one or more studies and checks the deadline meanwhile."""


def draft_in_time(
    batch: Sequence[PreprocessedStudy],
    draft: DraftBatch,
    limits: StudyLimits,
) -> list[Report | StudyError]:
    """Draft a batch of studies. If one takes too long or is refused, draft them one by one.

    No text is cut at the limit: a study has its draft or an error.

    Args:
        batch: One or more studies.
        draft: Drafts a batch, and checks the deadline meanwhile.
        limits: The time that each study may take, with the time that loading it took.
    """
    slowest = max(batch, key=lambda item: item.loaded.seconds).loaded
    try:
        return list(draft(batch, Deadline(slowest.request.study, limits.seconds, spent=slowest.seconds)))
    except StudyError as error:
        if len(batch) == 1:
            return [without_traceback(error)]
        return [result for item in batch for result in draft_in_time([item], draft, limits)]
