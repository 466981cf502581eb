"""Compose what the page of a draft says of the patient and the study."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.valuerep import PersonName

from report_gen.controls import shorten
from report_gen.outputs.demographics import identifier_of, raw_text
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.provenance_lines import days_earlier_text

_LONGEST = 200
"""Characters of a header value that the page shows."""
_SEX = {"M": "male", "F": "female", "O": "other"}  # defined terms of Patient's Sex, PS3.3 C.7.1.1


def patient_identity(draft: DraftDocument) -> str:
    """Return name and ID of the patient, which every sheet of paper must have."""
    header = draft.source.attributes
    name = _person_name(raw_text(header, "PatientName"))
    identifier = identifier_of(header, "PatientID")
    if not name and not identifier:
        return f"Patient unknown - {shorten(draft.study.name, _LONGEST)}"
    return " - ".join(part for part in (name, identifier and f"ID {identifier}") if part)


def study_facts(draft: DraftDocument) -> Iterator[tuple[str, str]]:
    """Yield the labels and values that tell the reader whose study it is; a value that is missing is left out."""
    header = draft.source.attributes
    sex, dicom = _value(header, "PatientSex"), draft.source.dicom_images
    facts = (
        ("Born", _date(_value(header, "PatientBirthDate"))),
        ("Sex", _SEX.get(sex, sex)),
        ("Age", _age(_value(header, "PatientAge"))),
        ("Study date", _date(_value(header, "StudyDate"))),
        ("Study", _value(header, "StudyDescription")),
        ("Accession number", identifier_of(header, "AccessionNumber")),
        ("Prior study", _prior_study(draft)),
        ("Set by the user", _set_attributes(draft)),
        ("File", shorten(draft.study.name, _LONGEST) if identifier_of(header, "PatientID") and not dicom else ""),
    )
    yield from ((name, value) for name, value in facts if value)


def _set_attributes(draft: DraftDocument) -> str:
    """Return the attributes that the user set, such as "modality CT, body part chest"; empty if there are none."""
    attributes = (one for one in draft.report.attributes if one.overridden)
    return ", ".join(f"{one.name.replace('_', ' ')} {one.value or 'unknown'}" for one in attributes)


def _prior_study(draft: DraftDocument) -> str:
    """Return date and distance of the prior study with which the draft was compared; empty without one."""
    prior, comparison = draft.compared_prior, draft.report.provenance.comparison
    if prior is None or comparison is None:
        return ""
    when = prior.study_time
    named = shorten(prior.name, _LONGEST) if when is None else when.date.isoformat()
    return f"{named}, {days_earlier_text(comparison)}"


def _value(header: Dataset, keyword: str) -> str:
    """Return the text of an attribute, empty if it is missing."""
    return shorten(raw_text(header, keyword), _LONGEST)


def _person_name(name: str) -> str:
    """Return a name as people write it: its alphabetic group, then the ideographic and phonetic ones (PS3.5 6.2.1)."""
    groups = [str(group) for group in PersonName(name).components]
    alphabetic, *others = [_name_group(group) for group in groups] or [""]
    others = [group.replace(", ", " ") for group in others if group]
    if alphabetic and others:
        return f"{alphabetic} ({', '.join(others)})"
    return alphabetic or ", ".join(others)


def _name_group(group: str) -> str:
    family, *given = [part.strip() for part in shorten(group, _LONGEST).split("^")]
    return ", ".join(part for part in (family, " ".join(filter(None, given))) if part)


def _date(text: str) -> str:
    """Return a DICOM date as ISO 8601; other texts unchanged."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdecimal() else text


def _age(text: str) -> str:
    """Return a DICOM Age String (PS3.5 6.2) in words; other texts unchanged."""
    units = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}
    if len(text) == 4 and text[:3].isdecimal() and text[3] in units:
        return f"{int(text[:3])} {units[text[3]]}"
    return text
