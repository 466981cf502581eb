"""Records of a draft: sections, sentences, findings, attributes and provenance; and the plain text of a report."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, get_args

from report_gen.records.change import PriorComparison
from report_gen.records.findings import FindingState
from report_gen.records.location import UNKNOWN_LOCATION, FindingLocation

BANNER = "DRAFT - not for diagnosis - to be reviewed by a radiologist"

FORCED_PREFIX = "FORCED DRAFT: "
"""Beginning of the notices of a forced draft, each of which says why the study is outside the scope of the model."""

PROGRAM = "report-gen"
"""Name of this program in documents: the sending application of HL7, the manufacturer in DICOM and FHIR."""

DRAWING = "report-gen drawing"
"""Key of the text entry by which a PNG with a drawing of this program is recognized and not taken for an image."""

AttributeName = Literal["modality", "plane", "body_part"]
ATTRIBUTES: tuple[AttributeName, ...] = get_args(AttributeName)
"""Properties of an image other than findings."""

ConfidenceKind = Literal["token probability", "agreement"]
"""What the confidence of sentences measures. "token probability": the geometric mean of the probabilities of the
sentence's tokens. "agreement": how similar the sentence is to the other texts that were sampled for the study (mean
ROUGE-L), for a model that gives no probabilities of tokens."""

UNKNOWN_ATTRIBUTES: tuple[str, ...] = ("",) * len(ATTRIBUTES)
"""Values of the attributes of an image about which nothing is known."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A finding of the model's schema in the state that the decoder was conditioned on."""

    name: str
    state: FindingState
    probability: float | None = None
    """Calibrated probability 0..1 from the image; None if the model was not trained on it or the image is blank."""
    present_threshold: float | None = None
    """Probability 0..1 from which the finding is present; None if the model has none, and in formats without it."""
    uncertain_threshold: float | None = None
    """Probability 0..1 from which the finding is uncertain; None if it never is, and in formats without it."""
    means_normal: bool = False
    """The finding is "no finding", see `NoFindingRule`. Its state follows from the other findings as well."""
    overridden: bool = False
    """The user set the state."""
    from_text: bool = False
    """The state was read from the text of the draft, because the model predicts no findings."""
    location: FindingLocation = UNKNOWN_LOCATION
    """Side and zones that the decoder was conditioned on; unknown for an absent finding."""
    location_overridden: bool = False
    """The user set side and zones."""
    side_probability: float | None = None
    """Calibrated probability 0..1 of the most probable side (right, left or both) if the finding is present; None if
    the model was not trained on its location, and for a finding that is neither present nor uncertain."""
    zone_probabilities: tuple[float, ...] | None = None
    """Calibrated probability 0..1 of each zone (upper, mid, lower) if the finding is present; None as for the side."""

    def with_stated_location(self) -> Finding:
        """Return the finding without side and zones, unless it is present or uncertain, as documents state it.

        The probabilities of side and zones are removed as well, because they are conditional on the presence of the
        finding. "No finding" has no location in any state.
        """
        if self.state.is_stated and not self.means_normal:
            return self
        return replace(
            self,
            location=UNKNOWN_LOCATION,
            location_overridden=False,
            side_probability=None,
            zone_probabilities=None,
        )


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One of `ATTRIBUTES` with the value that the decoder was conditioned on."""

    name: AttributeName
    value: str
    """Empty if the decoder was conditioned on an unknown value."""
    probability: float | None = None
    """Probability 0..1 of the value from the image; None if there is no value or the image was not encoded."""
    predicted: str = ""
    """Most probable value from the image alone."""
    from_header: bool = False
    """The value comes from the DICOM header and not from the image."""
    overridden: bool = False
    """The user set the value."""


class SectionName(StrEnum):
    """Heading of a section, in the order of a report."""

    INDICATION = "INDICATION"
    """Why the study was ordered, as the model was given it."""
    TECHNIQUE = "TECHNIQUE"
    """How the images were acquired, as the model was given it."""
    COMPARISON = "COMPARISON"
    """Names the earlier studies with which the study was compared. It describes no image."""
    FINDINGS = "FINDINGS"
    IMPRESSION = "IMPRESSION"


DESCRIBING_SECTIONS: tuple[SectionName, ...] = (SectionName.FINDINGS, SectionName.IMPRESSION)
"""Sections that describe the images: the only ones that a decoder generates and that scores compare."""

INDICATION_OF_HEADER = "As stated in the header of the study."
"""Text of the section INDICATION if the model was given that of the DICOM header, which may identify the patient."""

GIVEN_SECTIONS: tuple[SectionName, ...] = (SectionName.INDICATION, SectionName.TECHNIQUE)
"""Sections that repeat what the user or the header states: no model has written or judged them."""


@dataclass(frozen=True)
class Sentence:
    """One sentence of a section."""

    text: str
    confidence: float | None = None
    """Word confidence 0..1, see `Provenance.confidence`; None if the model did not generate the sentence, or if nothing
    is known. It says how sure the decoder was of its choice of words, not whether a finding is true."""


@dataclass(frozen=True)
class Section:
    """One section with its sentences."""

    name: SectionName
    sentences: tuple[Sentence, ...]

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """An image file of a draft. Its name is omitted because it may contain that of the patient."""

    sha256: str
    sop_instance_uid: str | None


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Which model wrote a draft, from which files and with which settings."""

    model_name: str
    weights_sha256: str
    """SHA-256 of the weights; empty if this computer does not have them, as with an endpoint."""
    program_version: str
    created: str
    """Time of the draft, UTC, ISO 8601."""
    study_instance_uid: str | None
    inputs: tuple[InputFile, ...]
    decoding: Mapping[str, str | int | float | bool]
    preprocessing: tuple[Mapping[str, str | int | float], ...] = ()
    """The `name` and the parameters of each step that changed the images before they were resized, in order."""
    comparison: PriorComparison | None = None
    """The earlier study with which the draft was compared."""
    model_revision: str = ""
    """Commit of the weights at a hub; empty if there is none."""
    endpoint: str = ""
    """Host to which the images were sent, if the model runs on another computer; empty otherwise."""
    confidence: ConfidenceKind = "token probability"
    """What the confidence of the sentences measures, as far as they have one."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A draft report with its provenance."""

    sections: tuple[Section, ...]
    findings: tuple[Finding, ...]
    notices: tuple[str, ...]
    """Warnings to the reader, such as a blank image or a view that the model was not trained on."""
    provenance: Provenance
    attributes: tuple[Attribute, ...] = ()
    """The attributes that the model has been trained on."""

    @property
    def indication(self) -> str:
        """The indication that the user stated; empty without one, and if the model was given that of the header."""
        texts = [section.text for section in self.sections if section.name is SectionName.INDICATION]
        return " ".join(text for text in texts if text != INDICATION_OF_HEADER)

    @property
    def findings_from_text(self) -> bool:
        """Whether the findings were read from the text of the draft, because the model predicts none."""
        return any(finding.from_text for finding in self.findings)

    @property
    def has_confidence(self) -> bool:
        """Whether a sentence has a confidence."""
        return any(sentence.confidence is not None for section in self.sections for sentence in section.sentences)

    @property
    def forced_notices(self) -> tuple[str, ...]:
        """Notices that say why the study is outside the scope of the model, shown beside the banner; empty if it is
        not."""
        return tuple(notice for notice in self.notices if notice.startswith(FORCED_PREFIX))

    @property
    def other_notices(self) -> tuple[str, ...]:
        """The notices that are not among `forced_notices`."""
        return tuple(notice for notice in self.notices if notice not in self.forced_notices)

    @property
    def describing_sections(self) -> tuple[Section, ...]:
        """The sections that describe the images."""
        return tuple(section for section in self.sections if section.name in DESCRIBING_SECTIONS)


_HEADING = re.compile(r"\b(" + "|".join(SectionName) + r")\s*:\s*")
_LIST_NUMBER = re.compile(r"\d{1,2}\.")
_ABBREVIATION = re.compile(r"(?:approx|cf|drs?|e\.g|fig|i\.e|incl|lt|mrs?|ms|prof|rt|vs)\.", re.IGNORECASE)
_OPENING, _CLOSING = "\"'([", "\"')]"


def parse_report(text: str) -> tuple[Section, ...]:
    """Split a report text into its sections, in order of appearance.

    A heading is a `SectionName` with a colon, as in `FINDINGS:`, in capital letters, anywhere in the text. Text before
    the first heading belongs to the findings. Empty sections are omitted.
    """
    pieces = _HEADING.split(text.strip())
    pairs = [(SectionName.FINDINGS.value, pieces[0]), *zip(pieces[1::2], pieces[2::2], strict=True)]
    return tuple(Section(SectionName(name), split_sentences(body)) for name, body in pairs if body.strip())


def format_report(sections: tuple[Section, ...]) -> str:
    """Write sections as text: the heading `NAME:`, the sentences, and an empty line between sections.

    `parse_report(format_report(s)) == s` holds for sections that `parse_report` returns, and for other sections whose
    sentences are split as by `split_sentences`, contain no heading and have no confidence.
    """
    return "\n\n".join(f"{section.name.value}:\n{section.text}" for section in sections)


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Split the text of a section into sentences, with white space reduced to single spaces.

    Joined by spaces, the sentences are the text again. A word that ends in `.`, `!` or `?` ends a sentence if a capital
    letter or a digit follows, unless the word is an abbreviation or an initial. A separate punctuation mark always ends
    a sentence. The number of a list item stays with its item, and the next number of a list begins an item even if the
    full stop before it is missing.
    """
    words = text.split()
    sentences: list[list[str]] = []
    item = 0
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        next_item = word == f"{item + 1}." and after[:1].isupper()
        at_number = bool(sentences) and len(sentences[-1]) == 1 and _LIST_NUMBER.fullmatch(before) is not None
        if not sentences or (next_item and item) or (not at_number and _is_sentence_boundary(before, word)):
            sentences.append([])
            item = item + 1 if next_item else item
        sentences[-1].append(word)
    return tuple(Sentence(" ".join(sentence)) for sentence in sentences)


def _is_sentence_boundary(before: str, word: str) -> bool:
    if before in (".", "!", "?"):
        return True
    ending, start = before.lstrip(_OPENING).rstrip(_CLOSING), word.lstrip(_OPENING)[:1]
    if not ending.endswith((".", "!", "?")) or not (start.isupper() or start.isnumeric()):
        return False
    is_initial = len(ending) == 2 and ending[0].isupper()
    return not is_initial and _ABBREVIATION.fullmatch(ending) is None


def strip_controls(text: str) -> str:
    """Return the text of `remove_controls` with white space reduced to single spaces."""
    return " ".join(remove_controls(text).split())


def remove_controls(text: str) -> str:
    """Return the text on one line, without control, format and surrogate characters, which a terminal would act on."""
    unwanted = {
        ord(character): " " if character.isspace() else ""
        for character in set(text)  # a table for all characters is far faster than a look-up of each
        if unicodedata.category(character).startswith("C")
    }
    return text.translate(unwanted)
