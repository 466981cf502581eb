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
from report_gen.outputs.key_image import ATTENTION_NOTE, fit_size, outline_findings
from report_gen.outputs.page_findings import finding_content
from report_gen.outputs.page_sentences import sentence_content
from report_gen.outputs.present_findings import (
    finding_label,
    no_present_finding,
    outline_label,
    present_findings,
)
from report_gen.outputs.provenance_lines import provenance_lines
from report_gen.outputs.shown_images import count_note, image_name, shown_images, spread_indices, window_text
from report_gen.records import Heatmap, Image
from report_gen.rendering.outlines import resize

_SIDES = (640, 1024)
"""Range of the larger side of an image in the page, pixels: 1024 on 80 mm are more than 300 dpi."""
_SMALL_SIDES = (320, 640)
"""The same for the further images, which are smaller."""
_LONGEST = 200
"""Characters of a header value that the page shows."""
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
        **sentence_content(report),
        **finding_content(report),
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
