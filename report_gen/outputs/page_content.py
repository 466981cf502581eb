"""Compose the content of the page of a draft: the texts and images that the template places."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import Image as PillowImage
from pydicom import Dataset
from pydicom.valuerep import PersonName

from report_gen.controls import shorten
from report_gen.imaging import load_pixels
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.key_image import ATTENTION_NOTE, fit_size, outline_findings
from report_gen.outputs.present_findings import finding_label, present_findings
from report_gen.records import Finding, FindingState, Heatmap, Report, Sentence, Side, Zone
from report_gen.rendering.outlines import resize

_MOST_IMAGES = 4
"""Images of a study that the page shows."""
_MOST_INPUTS = 8
"""Input files that the page lists."""
_SIDES = (640, 1024)
"""Range of the larger side of an image in the page, pixels: 1024 on 80 mm are more than 300 dpi."""
_LONGEST = 200
"""Characters of a header value that the page shows."""
_MEDIUM, _HIGH = 0.5, 0.8
"""Confidence from which a sentence has the mark of medium and of high confidence."""
_STATES = (FindingState.PRESENT, FindingState.UNCERTAIN, FindingState.ABSENT, FindingState.UNKNOWN)
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
    report = draft.report
    figures = list(_figures(draft))
    return {
        "identity": _identity(draft),
        "study": list(_study_facts(draft)),
        "notices": report.notices,
        "figures": figures,
        "images_note": _images_note(draft),
        "sections": [
            {
                "name": section.name.value.capitalize(),
                "sentences": [_sentence(sentence) for sentence in section.sentences],
            }
            for section in report.sections
        ],
        "findings": [_finding(finding) for finding in _sorted_findings(report)],
        "origin": list(_origin(report)),
    }


def _identity(draft: DraftDocument) -> str:
    """Return name and ID of the patient, which every sheet of paper must have."""
    header = draft.source.attributes
    name = _person_name(header.get("PatientName"))
    identifier = _value(header, "PatientID")
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
        ("Accession number", _value(header, "AccessionNumber")),
        ("File", shorten(draft.study.name, _LONGEST) if _value(header, "PatientID") and not dicom else ""),
    )
    yield from ((name, value) for name, value in facts if value)


def _figures(draft: DraftDocument) -> Iterator[Figure]:
    """Yield the images of the study, and after the first of them the image with the outlines."""
    images = draft.study.images
    shown = (
        images
        if len(images) <= _MOST_IMAGES
        else [images[n * len(images) // _MOST_IMAGES] for n in range(_MOST_IMAGES)]
    )
    for position, image in enumerate(shown):
        pixels = load_pixels(image)
        view = image.view_position.label
        name = f"Image {images.index(image) + 1} of {len(images)}, view {view}"
        picture = resize(pixels, fit_size(pixels.shape, *_SIDES))
        yield _figure(picture, alternative=f"{name}, without markings", caption=name)
        if position == 0 and draft.attention is not None:
            yield _outlined_figure(draft, draft.attention)


def _outlined_figure(draft: DraftDocument, attention: Heatmap) -> Figure:
    size = fit_size(attention.image.shape, *_SIDES)
    drawn = outline_findings(draft.report, attention, size=size)
    outlined = tuple(map(finding_label, drawn.outlined))
    others = f" Present, no outline: {'; '.join(map(finding_label, drawn.others))}." if drawn.others else ""
    caption = (
        f"Attention of the model.{others}" if present_findings(draft.report) else "No finding is present in the draft."
    )
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


def _images_note(draft: DraftDocument) -> str:
    parts = ["Images are reduced in size and must not be used for diagnosis."]
    count = len(draft.study.images)
    if count > _MOST_IMAGES:
        parts.append(f"{_MOST_IMAGES} of {count} images are shown.")
    if draft.attention is not None and present_findings(draft.report):
        parts.append(ATTENTION_NOTE)
    return " ".join(parts)


def _sentence(sentence: Sentence) -> dict[str, str]:
    confidence = sentence.confidence
    if confidence is None:
        return {"text": sentence.text, "level": "none", "confidence": ""}
    confidence = round(confidence, 2)  # the mark belongs to the number that the reader sees
    level = "high" if confidence >= _HIGH else "medium" if confidence >= _MEDIUM else "low"
    return {"text": sentence.text, "level": level, "confidence": f"{confidence:.2f}"}


def _sorted_findings(report: Report) -> list[Finding]:
    """Return the findings by state and then by probability, so that the important ones come first."""
    return sorted(report.findings, key=lambda finding: (_STATES.index(finding.state), -(finding.probability or 0.0)))


def _finding(finding: Finding) -> dict[str, str]:
    overridden = (("state", finding.overridden), ("location", finding.location_overridden))
    return {
        "name": finding.name,
        "state": "unknown" if finding.state is FindingState.UNKNOWN else finding.state.value,
        "probability": "" if finding.probability is None else _probability(finding.probability),
        "location": _location(finding),
        "overridden": ", ".join(name for name, is_set in overridden if is_set),
    }


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


def _probability(value: float) -> str:
    return "< 0.01" if value < 0.005 else f"{value:.2f}"


def _in_brackets(probability: float | None) -> str:
    return "" if probability is None else f" ({probability:.2f})"


def _origin(report: Report) -> Iterator[tuple[str, str]]:
    """Yield what the draft was made from."""
    provenance = report.provenance
    yield "Model", provenance.model_name
    yield "Weights, SHA-256", provenance.weights_sha256
    yield "Program", f"report-gen {provenance.program_version}"
    yield "Drafted", provenance.created
    if provenance.study_instance_uid:
        yield "Study Instance UID", provenance.study_instance_uid
    for number, file in enumerate(provenance.inputs[:_MOST_INPUTS], 1):
        uid = f", SOP Instance UID {file.sop_instance_uid}" if file.sop_instance_uid else ""
        yield f"Image {number}", f"SHA-256 {file.sha256}{uid}"
    if len(provenance.inputs) > _MOST_INPUTS:
        yield "Further images", str(len(provenance.inputs) - _MOST_INPUTS)
    yield "Decoding", ", ".join(f"{name} {value}" for name, value in provenance.decoding.items())
    for step in provenance.preprocessing:
        yield "Preprocessing", ", ".join(f"{name} {value}" for name, value in step.items())
    if (compared := provenance.comparison) is not None:
        changes = ", ".join(f"{name} {change}" for name, change in compared.changes.items()) or "no change stated"
        yield "Compared by", f"{compared.method}, with {len(compared.inputs)} images of the prior study: {changes}"
    for attribute in report.attributes:
        origin = "set by the reader" if attribute.overridden else "DICOM header" if attribute.from_header else "image"
        yield attribute.name.replace("_", " ").capitalize(), f"{attribute.value or 'unknown'} ({origin})"


def _value(header: Dataset, keyword: str) -> str:
    """Return the text of an attribute, empty if it is missing."""
    value = header.get(keyword)
    return "" if value is None else shorten(str(value), _LONGEST)


def _person_name(name: PersonName | None) -> str:
    """Return a name as people write it: its alphabetic group, then the ideographic and phonetic ones (PS3.5 6.2.1)."""
    groups = [] if name is None else [str(group) for group in PersonName(str(name)).components]
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
