"""What was written: Report > Section > Sentence, the state of the findings, and where it all came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

BANNER = "DRAFT - not for diagnosis - to be reviewed by a radiologist"

FINDINGS: tuple[str, ...] = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
"""The 14 observations of CheXpert (Irvin et al., AAAI 2019, arXiv:1901.07031), in its order."""


class FindingState(StrEnum):
    """What a text or an image says of a finding."""

    PRESENT = "present"
    ABSENT = "absent"
    UNCERTAIN = "uncertain"
    NOT_MENTIONED = "not-mentioned"
    UNKNOWN = NOT_MENTIONED
    """The same state seen from the image: nobody has said anything of the finding."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One of `FINDINGS` as the decoder was told it."""

    name: str
    state: FindingState
    probability: float | None = None
    """0..1 from the image; None when the model was never taught this finding."""
    overruled: bool = False
    """A reader set the state by hand."""


class SectionName(StrEnum):
    FINDINGS = "FINDINGS"
    IMPRESSION = "IMPRESSION"


@dataclass(frozen=True)
class Sentence:
    text: str
    confidence: float | None = None
    """0..1: geometric mean of the probabilities of the sentence's tokens."""


@dataclass(frozen=True)
class Section:
    name: SectionName
    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file that went into a draft. Its name is left out: it may carry the patient's."""

    sha256: str
    sop_instance_uid: str | None


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Everything needed to say which model wrote a draft from which pixels."""

    model_name: str
    weights_sha256: str
    program_version: str
    created: str
    """UTC, ISO 8601."""
    study_instance_uid: str | None
    inputs: tuple[InputFile, ...]
    decoding: Mapping[str, str | int | float | bool]


@dataclass(frozen=True, kw_only=True)
class Report:
    """A draft. There is none without its provenance."""

    sections: tuple[Section, ...]
    findings: tuple[Finding, ...]
    notices: tuple[str, ...]
    """What the reader must know of this draft: a view or a modality that the model was not trained on, a blank image."""
    provenance: Provenance


_HEADING = re.compile(r"\b(" + "|".join(SectionName) + r")\s*:\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\d(\"'])")


def parse_report(text: str) -> tuple[Section, ...]:
    """Sections of a report text in their order of appearance; text before the first heading counts as findings."""
    pieces = _HEADING.split(text.strip())
    pairs = [(SectionName.FINDINGS.value, pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    return tuple(
        Section(SectionName(name), split_sentences(body)) for name, body in pairs if body.strip()
    )


def format_report(sections: tuple[Section, ...]) -> str:
    """The inverse of `parse_report`: `NAME:` and the section's sentences, sections apart by an empty line."""
    return "\n\n".join(f"{section.name.value}:\n{section.text}" for section in sections)


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Sentences of a section; a stop ends one when white space and an upper-case letter, digit or quote follow."""
    text = " ".join(text.split())
    return tuple(Sentence(piece) for piece in _SENTENCE_END.split(text) if piece)
