"""Compare the patients that several DICOM files name.

Names are read for the comparison only. They are neither returned nor kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydicom import Dataset
from pydicom.errors import BytesLengthException

from report_gen.imaging.dicom import read_attributes
from report_gen.imaging.dicom_file import raise_study_errors

_ATTRIBUTES = {
    "PatientID": "Patient ID",
    "PatientName": "name",
    "PatientBirthDate": "birth date",
    "PatientSex": "sex",
}


def differing_attributes(paths: Iterable[Path]) -> list[str]:
    """Return which attributes of the patient (PS3.3 C.7.1.1) differ between DICOM files, as words for a message.

    Only stated values are compared. Case, spaces, punctuation and accents of a name do not count, nor do
    representations of a name (PS3.5 6.2.1.1) that only one of the files has.

    Args:
        paths: DICOM files.

    Returns:
        Some of "Patient ID", "name", "birth date" and "sex"; empty if the files may be of one patient.

    Raises:
        StudyError: A file cannot be read.
    """
    stated: dict[tuple[str, int], set[str]] = defaultdict(set)
    for path in paths:
        with raise_study_errors(path):
            dataset = read_attributes(path, ("SpecificCharacterSet", *_ATTRIBUTES))
            for keyword in _ATTRIBUTES:
                for part, value in enumerate(_values(dataset, keyword)):
                    stated[keyword, part] |= {value} if value else set()
    differing = {keyword for (keyword, _), values in stated.items() if len(values) > 1}
    return [word for keyword, word in _ATTRIBUTES.items() if keyword in differing]


def _values(dataset: Dataset, keyword: str) -> Iterator[str]:
    """Yield the normalized value of an attribute, or each representation of a name; "" if it is not stated."""
    try:
        text = str(dataset.get(keyword) or "")
    except (BytesLengthException, TypeError, ValueError):
        return
    if keyword == "PatientName":  # alphabetic, ideographic and phonetic representation
        yield from (_letters(part) for part in text.split("="))
    elif keyword == "PatientBirthDate":  # 1940.01.01 in files older than DICOM 3.0
        digits = re.sub(r"\D", "", text)
        yield digits if digits.strip("0") else ""
    else:
        yield " ".join(text.replace("\0", " ").split()).casefold()


def _letters(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    without_accents = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", without_accents))
