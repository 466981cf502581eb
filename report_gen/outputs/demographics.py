"""Convert patient and study attributes of DICOM headers for formats other than DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PersonName

from report_gen.records import remove_controls, strip_controls

Representation = Literal["alphabetic", "ideographic", "phonetic"]
_REPRESENTATIONS: tuple[Representation, ...] = ("alphabetic", "ideographic", "phonetic")
"""The component groups of a person name, in their order (PS3.5 6.2.1.1)."""


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
    return next(iter(name_representations(attributes, keyword).values()), None)


def name_representations(attributes: Dataset, keyword: str) -> dict[Representation, NameParts]:
    """Return the components of each representation of a person name that is not empty, in the order of DICOM."""
    groups = zip(_REPRESENTATIONS, raw_text(attributes, keyword).split("="), strict=False)
    return {name: _parts_of(group) for name, group in groups if group.strip("^ ")}


def _parts_of(group: str) -> NameParts:
    """Return the components of a component group (PS3.5 6.2.1)."""
    person = PersonName(group)
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


def identifier_of(attributes: Dataset, keyword: str) -> str:
    """Return an identifier, such as the Patient ID, as all formats write it; empty if it is absent.

    It is the value of the header without the spaces around it, which are not significant (PS3.5 6.2). Spaces within it
    and backslashes belong to it. Control characters, which only DICOM could write, are removed.
    """
    return remove_controls(raw_text(attributes, keyword)).strip(" ")


def text_of(attributes: Dataset, keyword: str) -> str:
    """Return a value as text on one line, with white space reduced to single spaces; empty if it is absent."""
    return strip_controls(raw_text(attributes, keyword))


def raw_text(attributes: Dataset, keyword: str) -> str:
    """Return a value as the header has it; empty if it is absent.

    A backslash separates values, and pydicom splits at it. In an attribute of one value it is a fault of the header.
    """
    value = attributes.get(keyword)
    if isinstance(value, MultiValue):
        return "\\".join(map(str, value))
    return "" if value is None else str(value)
