"""Compose the content of the page of a draft: the texts and images that the template places."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image as PillowImage
from pydicom import Dataset
from pydicom.valuerep import PersonName

from report_gen.controls import shorten
from report_gen.imaging import load_pixels
from report_gen.outputs.demographics import identifier_of, raw_text
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.draft_terms import STATE_WORDS, finding_title
from report_gen.outputs.key_image import ATTENTION_NOTE, fit_size, outline_findings
from report_gen.outputs.present_findings import (
    finding_label,
    no_present_finding,
    outline_label,
    present_findings,
)
from report_gen.outputs.probability_text import probability_text, threshold_text
from report_gen.outputs.provenance_lines import provenance_lines
from report_gen.outputs.shown_images import count_note, image_name, shown_images, spread_indices, window_text
from report_gen.records import Finding, FindingState, Heatmap, Image, Report, Sentence, Side, Zone
from report_gen.rendering.outlines import resize

_SIDES = (640, 1024)
"""Range of the larger side of an image in the page, pixels: 1024 on 80 mm are more than 300 dpi."""
_SMALL_SIDES = (320, 640)
"""The same for the further images, which are smaller."""
_LONGEST = 200
"""Characters of a header value that the page shows."""
_MEDIUM, _HIGH = 0.5, 0.8
"""Confidence from which a sentence has the mark of medium and of high confidence."""
_SEX = {"M": "male", "F": "female", "O": "other"}  # defined terms of Patient's Sex, PS3.3 C.7.1.1


@dataclass(frozen=True, kw_only=True)
class Figure:
    """An image with its caption."""

    source: str
    """The image as a `data:` URL."""
    width: int
    height: int
    alternative: str
    """Description for readers who do not see the image."""
    caption: str
    outlined: tuple[str, ...] = ()
    """Findings with an outline, the number 1 first."""


def page_content(draft: DraftDocument) -> dict[str, Any]:
    """Return the values of the template by their names in it.

    Args:
        draft: Draft.

    Raises:
        StudyError: An image of the study cannot be read any more.
    """
    report, figures = draft.report, list(_figures(draft))
    return {
        "identity": _identity(draft),
        "study": list(_study_facts(draft)),
        "forced": report.forced_notices,
        "notices": report.other_notices,
        "figures": figures,
        "further": list(_further_figures(draft)),
        "images_note": _images_note(draft, has_outlines=any(figure.outlined for figure in figures)),
        "sections": [
            {
                "name": section.name.value.capitalize(),
                "sentences": [_sentence(sentence) for sentence in section.sentences],
            }
            for section in report.sections
        ],
        "findings": [_finding(finding) for finding in _sorted_findings(report)],
        "findings_note": _findings_note(report),
        "origin": list(provenance_lines(report)),
    }


def _identity(draft: DraftDocument) -> str:
    """Return name and ID of the patient, which every sheet of paper must have."""
    header = draft.source.attributes
    name = _person_name(raw_text(header, "PatientName"))
    identifier = identifier_of(header, "PatientID")
    if not name and not identifier:
        return f"Patient unknown - {shorten(draft.study.name, _LONGEST)}"
    return " - ".join(part for part in (name, identifier and f"ID {identifier}") if part)


def _study_facts(draft: DraftDocument) -> Iterator[tuple[str, str]]:
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
        ("File", shorten(draft.study.name, _LONGEST) if identifier_of(header, "PatientID") and not dicom else ""),
    )
    yield from ((name, value) for name, value in facts if value)


def _figures(draft: DraftDocument) -> Iterator[Figure]:
    """Yield the first image, and beside it the image with the outlines, or the second of two images."""
    images = shown_images(draft)
    for index in range(_leading(draft)):
        yield _plain_figure(draft, images, index, _SIDES)
    if draft.attention is not None:
        yield _outlined_figure(draft, draft.attention)


def _leading(draft: DraftDocument) -> int:
    """Return how many images without outlines the first row has."""
    return 2 if draft.attention is None and len(draft.shown) == 2 else 1


def _further_figures(draft: DraftDocument) -> Iterator[Figure]:
    """Yield the images after the first row, see `spread_indices`."""
    images = shown_images(draft)
    for index in spread_indices(len(images))[_leading(draft) :]:
        yield _plain_figure(draft, images, index, _SMALL_SIDES)


def _plain_figure(draft: DraftDocument, images: Sequence[Image], index: int, sides: tuple[int, int]) -> Figure:
    pixels, name = load_pixels(images[index]), image_name(draft, images, index)
    picture = resize(pixels, fit_size(pixels.shape, *sides))
    return _figure(picture, alternative=f"{name}, without markings", caption=name)


def _outlined_figure(draft: DraftDocument, attention: Heatmap) -> Figure:
    size = fit_size(attention.image.shape, *_SIDES)
    drawn = outline_findings(draft.report, attention, size=size)
    outlined = tuple(map(outline_label, drawn.outlined))
    others = f" Present, no outline: {'; '.join(map(finding_label, drawn.others))}." if drawn.others else ""
    window = window_text(draft.given[0]) if draft.given else ""  # the image as the model was given it
    caption = f"Attention of the model{window}.{others}"
    if not present_findings(draft.report):
        caption = f"{no_present_finding(draft.report)}{window}."
    return _figure(
        drawn.image,
        alternative=f"The image that the model used, with outlines: {'; '.join(outlined) or 'none'}",
        caption=caption,
        outlined=outlined,
    )


def _figure(picture: PillowImage.Image, *, alternative: str, caption: str, outlined: tuple[str, ...] = ()) -> Figure:
    """Return a figure with its image as JPEG: a tenth of the size of PNG, and without a visible difference on paper."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90, subsampling=0)
    source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    width, height = picture.size
    return Figure(
        source=source, width=width, height=height, alternative=alternative, caption=caption, outlined=outlined
    )


def _images_note(draft: DraftDocument, *, has_outlines: bool) -> str:
    parts = ["Images are reduced in size and must not be used for diagnosis."]
    parts += filter(None, [count_note(draft)])
    if has_outlines:
        parts.append(ATTENTION_NOTE)
    return " ".join(parts)


def _sentence(sentence: Sentence) -> dict[str, str]:
    if sentence.confidence is None:
        return {"text": sentence.text, "level": "none", "confidence": ""}
    confidence = round(sentence.confidence, 2)  # the mark belongs to the number that the reader sees
    level = "high" if confidence >= _HIGH else "medium" if confidence >= _MEDIUM else "low"
    return {"text": sentence.text, "level": level, "confidence": probability_text(sentence.confidence)}


def _sorted_findings(report: Report) -> list[Finding]:
    """Return the findings by state and then by probability, so that the important ones come first.

    "No finding" is left out if it is unknown: the draft then states an abnormality for which CheXpert has no name, such
    as a hernia, so that its label says neither "normal" nor "not normal" (`NoFindingRule.inconclusive`), or nothing is
    known about any finding.
    """
    states = list(STATE_WORDS)
    shown = [one for one in report.findings if not (one.means_normal and one.state is FindingState.UNKNOWN)]
    return sorted(shown, key=lambda finding: (states.index(finding.state), -(finding.probability or 0.0)))


def _finding(finding: Finding) -> dict[str, str | bool]:
    finding = finding.with_stated_location()
    return {
        "name": finding_title(finding),
        "state": STATE_WORDS[finding.state],
        "probability": "" if finding.probability is None else probability_text(finding.probability),
        "threshold": _threshold(finding),
        "location": _location(finding),
        "state_set": finding.overridden,
        "location_set": finding.location_overridden,
    }


def _threshold(finding: Finding) -> str:
    """Return the probability from which a finding is present, and in brackets that from which it is uncertain."""
    present, uncertain = finding.present_threshold, finding.uncertain_threshold
    if present is None:
        return ""
    # Some findings have two thresholds that are the same: they are never uncertain by them.
    second = "" if uncertain is None or uncertain >= present else f" ({threshold_text(uncertain)})"
    return threshold_text(present) + second


def _findings_note(report: Report) -> str:
    """Return how states follow from probabilities, in the words of the table."""
    sentences = ["Probability: from the image, calibrated."]
    thresholds = [one for one in report.findings if one.present_threshold is not None]
    if thresholds:
        sentences.append(
            "Threshold: a finding is present if its probability reaches this value, and uncertain if it reaches the "
            "value in brackets. Each finding has its own, so that a rare finding may be present at a low probability."
        )
    sentences += [
        f"If {one.name} reaches its threshold, the study counts as normal, and its other findings, except devices, as "
        "absent. If not, and no other finding reaches its threshold, the one nearest to it is uncertain."
        for one in thresholds
        if one.means_normal
    ]
    sentences.append("Unknown: the model makes no statement about this finding. An empty cell: nothing is known.")
    return " ".join(sentences)


def _location(finding: Finding) -> str:
    """Return side and zones of a finding with the probability of each: "left (0.75); mid (0.50), lower (0.88) zone"."""
    location = finding.location
    certain = finding.location_overridden  # the probabilities are those of the model, not of what the reader set
    side, zones = "", [zone for zone in Zone if zone in location.zones]
    if location.side is not Side.UNKNOWN:
        side = location.side.value + _in_brackets(None if certain else finding.side_probability)
    probabilities = dict(zip(Zone, finding.zone_probabilities or (), strict=False))
    names = ", ".join(zone.value + _in_brackets(None if certain else probabilities.get(zone)) for zone in zones)
    return "; ".join(part for part in (side, names and f"{names} zone{'s' if len(zones) > 1 else ''}") if part)


def _in_brackets(probability: float | None) -> str:
    return "" if probability is None else f" ({probability_text(probability)})"


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
