"""Remove identifiers of the patient from the texts of a prompt, which may be sent to another computer.

The prompt names no identifying attribute of the header. Free texts of the header, such as the reason for the study,
contain names and numbers all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace

from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

from report_gen.imaging import is_dicom_file, raise_study_errors, read_attributes
from report_gen.prompting import PromptValues
from report_gen.records import Study

_NAMES = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ReferringPhysicianName",
)
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientTelephoneNumbers")
_SHORTEST_NUMBER = 4
"""Characters of a number that is removed. Shorter ones are also doses and sizes."""
_SHORTEST_NAME = 2
_WORD = re.compile(r"[^\W\d_](?:[\w'\u2019-]*\w)?")


def header_identifiers(study: Study) -> frozenset[str]:
    """Return the words of the names and the numbers in the header of a study, in lower case; none without a header.

    Raises:
        StudyError: The header cannot be read.
    """
    paths = dict.fromkeys(image.path for image in study.images)
    first = next((path for path in paths if is_dicom_file(path)), None)
    if first is None:
        return frozenset()
    with raise_study_errors(first):
        header = read_attributes(first, ("SpecificCharacterSet", *_NAMES, *_NUMBERS))
        names = [text for keyword in _NAMES for text in _texts(header, keyword)]
        numbers = [text for keyword in _NUMBERS for text in _texts(header, keyword)]
    words = {word.casefold() for name in names for word in _WORD.findall(name) if len(word) >= _SHORTEST_NAME}
    return frozenset(words | {number.casefold() for number in numbers if len(number) >= _SHORTEST_NUMBER})


def without_identifiers(values: PromptValues, identifiers: Iterable[str]) -> PromptValues:
    """Return the values of a prompt without names and numbers of the patient.

    A name is removed where it begins with a capital letter, because some names are also words of reports ("Small").

    Args:
        values: The values.
        identifiers: Words and numbers from `header_identifiers`.
    """
    known = sorted(identifiers, key=len, reverse=True)
    if not known:
        return values
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})(?!\w)", re.IGNORECASE)

    def remove(match: re.Match[str]) -> str:
        found = match[0]
        return "" if found[0].isupper() or not found[0].isalpha() or any(map(str.isdigit, found)) else found

    return replace(values, **{one.name: pattern.sub(remove, getattr(values, one.name)) for one in fields(values)})


def _texts(header: Dataset, keyword: str) -> Iterator[str]:
    """Yield the values of an attribute as texts; none of a value that is empty or invalid."""
    try:
        value = header.get(keyword)
    except (BytesLengthException, TypeError, ValueError):
        return
    for one in value if isinstance(value, MultiValue) else [value]:
        if one is not None and (text := str(one).strip()):
            yield text
