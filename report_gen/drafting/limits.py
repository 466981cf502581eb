"""Limit the images of a study and the time that its draft may take.

The elapsed time is compared with the limit after each image of a study, before each of its preprocessing steps and
within slow ones, and before each token of its text. Reading one image is not interrupted, because Python cannot stop a
thread; the limits on pixels bound the time that it takes.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from time import monotonic

from report_gen.arguments import check_count
from report_gen.errors import StudyTimeoutError, UsageError
from report_gen.records import Study


@dataclass(frozen=True)
class StudyLimits:
    """Limits of the draft of one study.

    Raises:
        UsageError: A limit is not a number above zero.
    """

    _: KW_ONLY
    max_views: int | None = None
    """Number of images. None: the number in the scope of the model."""
    seconds: float | None = None
    """Time for all stages together, seconds. None: no limit."""

    def __post_init__(self) -> None:
        if self.max_views is not None:
            check_count("max_views", self.max_views)
        seconds: object = self.seconds
        if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):  # NaN is not above zero
            raise UsageError(f"seconds is {seconds!r}; give a number above 0, or None for no limit")


NO_LIMITS = StudyLimits()


class Deadline:
    """The end of the time that a study may take. The time runs from the creation of the object.

    Args:
        study: The study.
        seconds: Time for all stages together. None: any time.
        spent: Time that earlier stages took.
    """

    def __init__(self, study: Study, seconds: float | None, *, spent: float = 0.0) -> None:
        self._study, self._seconds = study, seconds
        self._start = monotonic() - spent

    @property
    def spent(self) -> float:
        """Time that the study has taken so far, seconds."""
        return monotonic() - self._start

    def check(self) -> None:
        """Raise StudyTimeoutError if the time is over."""
        if self._seconds is not None and self.spent > self._seconds:
            reason = f"took longer than {self._seconds:g} seconds; allow more with limits=StudyLimits(seconds=...)"
            raise StudyTimeoutError(self._study.path, reason)
