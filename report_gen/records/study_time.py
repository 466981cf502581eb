"""Record of when a study was made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time


@dataclass(frozen=True)
class StudyTime:
    """Date and time of a study by the clock of its device. They may identify a patient, so `repr` shows neither."""

    date: date = field(repr=False)
    time: time | None = field(default=None, repr=False)
    """None if only the date is known."""

    def days_before(self, other: StudyTime) -> int:
        """Return the number of calendar days from this study to another one; negative if the other one is earlier."""
        return (other.date - self.date).days

    def precedes(self, other: StudyTime) -> bool | None:
        """Return whether this study is earlier than another one; None if both are of one day and a time is unknown."""
        if self.date != other.date:
            return self.date < other.date
        if self.time is None or other.time is None:
            return None
        return self.time < other.time
