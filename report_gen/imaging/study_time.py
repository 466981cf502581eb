"""Read when a study was made from a DICOM header."""

from __future__ import annotations

from datetime import date, datetime, time

from pydicom import Dataset
from pydicom.valuerep import TM

from report_gen.imaging.attributes import text_value
from report_gen.records import StudyTime

_TIMES = {
    "StudyDate": "StudyTime",
    "SeriesDate": "SeriesTime",
    "AcquisitionDate": "AcquisitionTime",
    "ContentDate": "ContentTime",
}
"""Attribute with the time of each attribute that dates the examination, the preferred one first."""

DATE_KEYWORDS = tuple(_TIMES)
TIME_KEYWORDS = (*DATE_KEYWORDS, *_TIMES.values())
"""Attributes that the functions of this module read."""


def study_time(dataset: Dataset) -> StudyTime | None:
    """Return date and time by the first attribute with a valid date; None if there is none."""
    dates = ((keyword, read_date(dataset, keyword)) for keyword in DATE_KEYWORDS)
    return next((StudyTime(day, _time(dataset, _TIMES[keyword])) for keyword, day in dates if day), None)


def read_date(dataset: Dataset, keyword: str) -> date | None:
    """Return a date (VR DA, PS3.5 6.2); None if it is missing or not valid."""
    try:
        return datetime.strptime(text_value(dataset, keyword) or "", "%Y%m%d").date()
    except ValueError:
        return None


def _time(dataset: Dataset, keyword: str) -> time | None:
    """Return a time (VR TM, PS3.5 6.2), also in the form 10:30:00 of files older than DICOM 3.0; None if not valid."""
    try:
        value = TM((text_value(dataset, keyword) or "").replace(":", ""))
    except ValueError:
        return None
    return None if value is None else time(value.hour, value.minute, value.second, value.microsecond)
