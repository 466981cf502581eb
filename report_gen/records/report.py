"""What was written: Report > Section > Sentence, the state of the findings, and where it all came from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

from report_gen.records.findings import FindingState

BANNER = "DRAFT - not for diagnosis - to be reviewed by a radiologist"

AttributeName = Literal["modality", "plane", "body_part"]
ATTRIBUTES: tuple[AttributeName, ...] = get_args(AttributeName)
"""What an image is a picture of, besides its findings."""

UNKNOWN_ATTRIBUTES: tuple[str, ...] = ("",) * len(ATTRIBUTES)
"""The attributes of images of which nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding of the model's schema in the state that the decoder was conditioned on."""

    name: str
    state: FindingState
    probability: float | None = None
    """0..1 from the image, calibrated; None where the model was never taught this finding, or the image is blank."""
    overridden: bool = False
    """A reader set the state by hand."""


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One of `ATTRIBUTES` as the decoder was told it."""

    name: AttributeName
    value: str
    """Empty where the decoder was told that nothing is known."""
    probability: float | None = None
    """0..1 of the value from the image; None where there is none, or the image was not looked at."""
    seen: str = ""
    """The likeliest value by the image alone."""
    from_header: bool = False
    """The DICOM header says so, whatever is seen."""
    overridden: bool = False
    """A reader set the value by hand."""


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
    """What the reader must know of this draft: a view that the model was not trained on, a blank image."""
    provenance: Provenance
    attributes: tuple[Attribute, ...] = ()
    """Those that the model knows."""


_HEADING = re.compile(r"\b(" + "|".join(SectionName) + r")\s*:\s*")
_NUMBER_OF_ITEM = re.compile(r"\d{1,2}\.")
_ABBREVIATION = re.compile(r"(?:approx|cf|drs?|e\.g|fig|i\.e|incl|lt|mrs?|ms|prof|rt|vs)\.", re.IGNORECASE)
_OPENING, _CLOSING = "\"'([", "\"')]"


def parse_report(text: str) -> tuple[Section, ...]:
    """Sections of a report text in their order of appearance; text before the first heading counts as findings.

    A heading is `FINDINGS:` or `IMPRESSION:` in capitals, anywhere. Sections without a text are left out.
    """
    pieces = _HEADING.split(text.strip())
    pairs = [(SectionName.FINDINGS.value, pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    return tuple(Section(SectionName(name), split_sentences(body)) for name, body in pairs if body.strip())


def format_report(sections: tuple[Section, ...]) -> str:
    """The inverse of `parse_report`: `NAME:` and the section's sentences, sections apart by an empty line.

    `parse_report(format_report(s)) == s` holds for all sections that `parse_report` gives, and for all others whose
    sentences are as `split_sentences` would cut them, hold no heading and carry no confidence.
    """
    return "\n\n".join(f"{section.name.value}:\n{section.text}" for section in sections)


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Sentences of a section, with single blanks for all white space; joined by blanks they are the text again.

    A word that ends in `.`, `!` or `?` ends a sentence when a capital or a digit follows, unless it is an abbreviation
    or an initial; a stop that stands alone always does. The numbers of a list stay with their items, and the next
    number of the list begins an item even where the stop before it is missing.
    """
    words = text.split()
    sentences: list[list[str]] = []
    item = 0
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        next_item = word == f"{item + 1}." and after[:1].isupper()
        at_number = bool(sentences) and len(sentences[-1]) == 1 and _NUMBER_OF_ITEM.fullmatch(before) is not None
        if not sentences or (next_item and item) or (not at_number and _stands_between_sentences(before, word)):
            sentences.append([])
            item = item + 1 if next_item else item
        sentences[-1].append(word)
    return tuple(Sentence(" ".join(sentence)) for sentence in sentences)


def _stands_between_sentences(before: str, word: str) -> bool:
    if before in (".", "!", "?"):
        return True
    core, start = before.lstrip(_OPENING).rstrip(_CLOSING), word.lstrip(_OPENING)[:1]
    if not core.endswith((".", "!", "?")) or not (start.isupper() or start.isnumeric()):
        return False
    is_initial = len(core) == 2 and core[0].isupper()
    return not is_initial and _ABBREVIATION.fullmatch(core) is None


def strip_controls(text: str) -> str:
    """The text on one line without control, formatting and surrogate characters, which could act on a terminal."""
    kept = (c if not unicodedata.category(c).startswith("C") else " " if c.isspace() else "" for c in text)
    return " ".join("".join(kept).split())
