"""Read the age and the species of the patient from a DICOM header."""

from __future__ import annotations

import re

from pydicom import Dataset

from report_gen.imaging.attributes import code_meaning, optional_value, text_value
from report_gen.imaging.study_time import DATE_KEYWORDS, read_date

PATIENT_KEYWORDS = (
    *DATE_KEYWORDS,
    "PatientBirthDate",
    "PatientAge",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
)
"""Attributes that the functions of this module read."""

_YEARS_PER = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25, "": 1.0}

_HOMO_SAPIENS = frozenset({"337915000", "L-85B00"})
"""Codes of Homo sapiens in SNOMED CT and SNOMED RT (PS3.16 CID 7454), whatever language their meaning is in."""

_HUMAN = re.compile(
    "sapiens|humans?|human[oa]|humaine?|uman[oa]|mensch|menselijk|mens|menneske|människa|manniska|ihminen|człowiek|"
    "czlowiek|člověk|clovek|ember|insan|человека?|людина|人|人类|人類|ヒト|사람"
)
_BESIDE_HUMAN = re.compile("homo|l|linnaeus|beings?|adult|child|patient|male|female|organism|species")
"""Words that may stand beside a word for humans; others, as in "non-human primate", make the species another one."""
_UNSTATED = re.compile("unknown|undefined|unspecified|other|none|no|na|n|a|not|specified|available|applicable")


def patient_age(dataset: Dataset) -> float | None:
    """Return the age in years from Patient's Age (0010,1010), an AS such as 065Y (PS3.5 6.2), else the birth date.

    Devices write 000Y for an unknown age, so the birth date has precedence over it.
    """
    match = re.fullmatch(r"(\d{1,3}) ?([YMWD]?)", (text_value(dataset, "PatientAge") or "").upper())
    stated = int(match[1]) * _YEARS_PER[match[2]] if match else None
    if stated:
        return stated
    from_birth = _age_by_birth_date(dataset)
    return stated if from_birth is None and match and match[2] else from_birth


def patient_species(dataset: Dataset) -> str | None:
    """Return the species, else the breed, which only animals have; None if the header states neither.

    If one of the attributes names an animal, it is returned, whatever the others are.
    """
    codes = {text_value(item, "CodeValue") for item in optional_value(dataset, "PatientSpeciesCodeSequence") or ()}
    coded = "Homo sapiens" if codes & _HOMO_SAPIENS else code_meaning(dataset, "PatientSpeciesCodeSequence")
    texts = (text_value(dataset, "PatientSpeciesDescription"), coded, text_value(dataset, "PatientBreedDescription"))
    stated = [text for text in texts if text and not all(map(_UNSTATED.fullmatch, _words(text)))]
    return min(stated, key=is_human, default=None)


def is_human(species: str) -> bool:
    """Return whether a species is Homo sapiens, in one of several languages."""
    words = _words(species)
    beside = [word for word in words if not _HUMAN.fullmatch(word)]
    return len(beside) < len(words) and all(map(_BESIDE_HUMAN.fullmatch, beside))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.casefold())


def _age_by_birth_date(dataset: Dataset) -> int | None:
    born = read_date(dataset, "PatientBirthDate")
    imaged = next((day for keyword in DATE_KEYWORDS if (day := read_date(dataset, keyword))), None)
    if born is None or imaged is None or imaged < born:
        return None
    return imaged.year - born.year - ((imaged.month, imaged.day) < (born.month, born.day))
