"""Generate the texts of a batch of studies under a time limit for each study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from report_gen.drafting.limits import Deadline, StudyLimits
from report_gen.drafting.report_generator import GeneratedDraft, PreparedStudy
from report_gen.errors import StudyError, without_traceback


class GenerateBatch(Protocol):
    """`ReportGenerator.generate` with its options."""

    def __call__(
        self, batch: Sequence[PreparedStudy], /, *, deadline: Deadline
    ) -> Sequence[GeneratedDraft | StudyError]: ...


def generate_in_time(
    generate: GenerateBatch, limits: StudyLimits, batch: Sequence[PreparedStudy]
) -> list[GeneratedDraft | StudyError]:
    """Generate the texts of a batch. If one study takes too long or is refused, they are generated one by one.

    No text is cut at the limit: a study has its text or an error.

    Args:
        generate: Generates the texts of a batch, and checks the deadline meanwhile.
        limits: The time that each study may take, with the time that preparing it took.
        batch: One or more studies.
    """
    slowest = max(batch, key=lambda item: item.seconds)
    try:
        return list(generate(batch, deadline=Deadline(slowest.request.study, limits.seconds, spent=slowest.seconds)))
    except StudyError as error:
        if len(batch) == 1:
            return [without_traceback(error)]
        return [result for item in batch for result in generate_in_time(generate, limits, [item])]
