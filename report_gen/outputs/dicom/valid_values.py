"""Remove from the attributes of a header what a DICOM object must not contain."""

from __future__ import annotations

import re
from typing import NamedTuple

from pydicom import DataElement, Dataset
from pydicom.config import RAISE
from pydicom.datadict import dictionary_has_tag, dictionary_VM
from pydicom.valuerep import MAX_VALUE_LEN, PersonName, validate_value

from report_gen.outputs.demographics import raw_text
from report_gen.outputs.source_header import IDENTIFIERS
from report_gen.records import strip_controls

_PARAGRAPHS = ("LT", "ST", "UT")
"""Value representations of texts of several lines."""
_CONTROL = re.compile("[\0-\x1f\x7f-\x9f]")
_TEXT_CONTROL = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f-\x9f]")
"""Control characters besides tab, line feed, form feed and carriage return, which a text may have (PS3.5 6.1.3)."""
_ENUMERATED = {
    "PatientSex": ("", "M", "F", "O"),
    "PatientSexNeutered": ("", "ALTERED", "UNALTERED"),
    "QualityControlSubject": ("YES", "NO"),
    "PatientIdentityRemoved": ("YES", "NO"),
}
"""Enumerated values of attributes that are copied (PS3.3 C.7.1.1, C.7.2.2), to which no others may be added."""
_GROUPS, _COMPONENTS, _GROUP_LENGTH = 3, 5, 64
"""Most component groups of a name, components of a group, and characters of a group (PS3.5 6.2)."""


class ValidAttributes(NamedTuple):
    """The attributes of a header that a DICOM object may have."""

    attributes: Dataset
    shortened: tuple[str, ...]
    """Keywords of identifying attributes whose value was shortened, or lost its control characters."""
    left_out: tuple[str, ...]
    """Keywords of identifying attributes without the value of the header."""


def valid_attributes(source: Dataset) -> ValidAttributes:
    """Return the attributes of a header whose values follow their VR.

    A name is shortened. An identifier that is too long is left out instead, because its beginning may be the identifier
    of another patient. Identifiers with several values or control characters are kept: archives know the patient by
    them.

    Args:
        source: Attributes of patient and study.
    """
    attributes, shortened, left_out = Dataset(), list[str](), list[str]()
    for element in source:
        keyword = element.keyword
        if keyword not in IDENTIFIERS:
            if is_valid(element):
                attributes.add(element)
        elif keyword == "PatientName":
            text = raw_text(source, keyword)
            name = text if is_valid(element) else _shorten_name(text)
            attributes.add(element if name == text else DataElement(element.tag, "PN", name))
            shortened += [] if name == text else [keyword]
        elif _is_too_long(element):
            left_out.append(keyword)
        else:
            attributes.add(element)
    return ValidAttributes(attributes, tuple(shortened), tuple(left_out))


def header_notices(source: Dataset) -> tuple[str, ...]:
    """Return which identifying attributes of a header DICOM objects have in another form, without their values."""
    found = valid_attributes(source)
    return tuple(
        f"{keyword} of the study violates the standard and is {change} in DICOM objects; correct the value"
        for keywords, change in ((found.shortened, "shortened"), (found.left_out, "left out"))
        for keyword in keywords
    )


def _shorten_name(text: str) -> str:
    groups = [strip_controls("^".join(group.split("^")[:_COMPONENTS])) for group in text.split("=")[:_GROUPS]]
    return "=".join(group[:_GROUP_LENGTH].rstrip() for group in groups)


def _is_too_long(element: DataElement) -> bool:
    values = element.value if element.VM > 1 else [element.value]
    return any(len(str(value)) > MAX_VALUE_LEN.get(element.VR, 64) for value in values)


def is_valid(element: DataElement) -> bool:
    """Return whether values follow their VR, unlike a Patient's Age `62`: the object is left without other values.

    A sequence is valid if all attributes of its items are.
    """
    if element.VR == "SQ":
        return all(is_valid(nested) for item in element.value for nested in item)
    values = element.value if element.VM > 1 else [element.value]
    if len(values) > 1 and dictionary_has_tag(element.tag) and dictionary_VM(element.tag) == "1":
        return False
    try:
        for value in values:  # numbers as they are written; pydicom checks names only as texts
            _check_text(element, value)
            validate_value(element.VR, str(value) if element.VR in ("DS", "IS", "PN") else value, RAISE)
    except ValueError:
        return False
    return True


def _check_text(element: DataElement, value: object) -> None:
    """Check what pydicom does not: control characters, components of a name, and enumerated values.

    Raises:
        ValueError: A text has a control character (PS3.5 6.1.3), a name has too many components (PS3.5 6.2.1), or an
            attribute has another value than the enumerated ones.
    """
    if not isinstance(value, str | PersonName):
        return
    text, representation = str(value), str(element.VR)
    groups = text.split("=")
    if (
        (_TEXT_CONTROL if representation in _PARAGRAPHS else _CONTROL).search(text)
        or (representation == "PN" and (len(groups) > 3 or any(group.count("^") > 4 for group in groups)))
        or text not in _ENUMERATED.get(element.keyword, (text,))
    ):
        raise ValueError(element.keyword)
