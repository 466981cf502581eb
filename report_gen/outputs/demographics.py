"""Convert patient and study attributes of DICOM headers for formats other than DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from pydicom import Dataset
from pydicom.valuerep import PersonName

from report_gen.records import strip_controls


@dataclass(frozen=True, kw_only=True)
class NameParts:
    """The components of a person name (PS3.5 6.2, VR PN), each on one line; empty if unknown."""

    family: str = ""
    given: str = ""
    middle: str = ""
    prefix: str = ""
    suffix: str = ""


def name_parts(attributes: Dataset, keyword: str) -> NameParts | None:
    """Return the components of a person name; None if the attribute is absent or empty.

    The alphabetic representation is preferred, then the ideographic and the phonetic one.
    """
    name = attributes.get(keyword)
    if not name:
        return None
    groups = [group for group in str(name).split("=") if group.strip("^ ")]
    if not groups:
        return None
    person = PersonName(groups[0])
    return NameParts(
        family=strip_controls(person.family_name),
        given=strip_controls(person.given_name),
        middle=strip_controls(person.middle_name),
        prefix=strip_controls(person.name_prefix),
        suffix=strip_controls(person.name_suffix),
    )


def date_of(attributes: Dataset, keyword: str) -> date | None:
    """Return a date (VR DA); None if it is absent or no date."""
    text = text_of(attributes, keyword)
    try:
        # Without the check of its length, 1970111 would be read as 1 November 1970.
        return datetime.strptime(text, "%Y%m%d").date() if len(text) == 8 else None
    except ValueError:
        return None


def text_of(attributes: Dataset, keyword: str) -> str:
    """Return a value as text on one line; empty if it is absent."""
    value = attributes.get(keyword)
    return "" if value is None else strip_controls(str(value))
