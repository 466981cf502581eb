"""Make reports of texts without a draft's provenance, and values of the words in a draft."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from report_gen.labeling import cut_report
from report_gen.outputs.draft_terms import STATES_BY_WORD
from report_gen.records import (
    DESCRIBING_SECTIONS,
    FindingState,
    Provenance,
    Report,
    Section,
    SectionName,
    split_sentences,
)


class WithdrawnReportError(ValueError):
    """A report that its author has withdrawn, so that it must not be read."""


class NoReportError(ValueError):
    """A document that is no report of a known format."""


_Word = TypeVar("_Word", bound=StrEnum)


def plain_report(texts: Mapping[str, str], study_instance_uid: str | None = None) -> Report:
    """Return the report with the texts under `comparison`, `findings` and `impression`.

    Args:
        texts: Text by the name of the section in lower case, as `cut_report` returns it. Other sections are left out.
        study_instance_uid: The study, if known.
    """
    return Report(
        sections=tuple(
            Section(name, sentences)
            for name in (SectionName.COMPARISON, *DESCRIBING_SECTIONS)
            if (sentences := split_sentences(texts.get(name.value.lower(), "")))
        ),
        findings=(),
        notices=(),
        provenance=empty_provenance(study_instance_uid),
    )


def cut_plain_report(text: str, study_instance_uid: str | None = None) -> Report:
    """Return the report in a text, split by its headings. Text without headings belongs to the findings."""
    return plain_report(cut_report(text), study_instance_uid)


def known_word(words: type[_Word], text: str) -> _Word:
    """Return the member with this value.

    Raises:
        ValueError: There is none. The message does not repeat the text, which may identify a patient.
    """
    try:
        return words(text)
    except ValueError:
        raise ValueError(f"it has an unknown {words.__name__}") from None


def known_state(word: str) -> FindingState:
    """Return the state of a finding with this word in documents.

    Raises:
        ValueError: There is none. The message does not repeat the word, which may identify a patient.
    """
    if word not in STATES_BY_WORD:
        raise ValueError("it has an unknown state of a finding")
    return STATES_BY_WORD[word]


def known_time(text: str, where: str) -> str:
    """Return a time of HL7 or DICOM, `20260102030405+0000`, in ISO 8601.

    Args:
        text: The time.
        where: Name of its field, for the message.

    Raises:
        ValueError: The text is not a time with seconds and time zone.
    """
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S%z").isoformat()
    except ValueError:
        raise ValueError(f"{where} is not a time with seconds and time zone") from None


def empty_provenance(study_instance_uid: str | None = None) -> Provenance:
    """Return the provenance of a report about whose origin nothing is known."""
    return Provenance(
        model_name="",
        weights_sha256="",
        program_version="",
        created="",
        study_instance_uid=study_instance_uid,
        inputs=(),
        decoding={},
    )
