"""Compose the images of the page of a draft, with their captions."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image as PillowImage

from report_gen.imaging import load_pixels
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.key_image import ATTENTION_NOTE, fit_size, outline_findings
from report_gen.outputs.present_findings import (
    finding_label,
    no_present_finding,
    outline_label,
)
from report_gen.outputs.provenance_lines import days_earlier_text
from report_gen.outputs.shown_images import (
    common_window,
    count_note,
    image_names,
    shown_images,
    slice_names,
    spread_indices,
    window_text,
)
from report_gen.records import Heatmap, Image
from report_gen.rendering.outlines import resize

_SIDES = (640, 1024)
"""Range of the larger side of an image in the page, pixels: 1024 on 80 mm are more than 300 dpi."""
_SMALL_SIDES = (320, 640)
"""The same for the further images, which are smaller."""


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


@dataclass(frozen=True, kw_only=True)
class PageFigures:
    """The images of a page."""

    first: tuple[Figure, ...]
    """The first row: the first image, and beside it the one with the outlines, the second of two, or the prior one."""
    further: tuple[Figure, ...]
    """The images after the first row, which are smaller."""
    note: str
    """What holds for all of them."""


def page_figures(draft: DraftDocument) -> PageFigures:
    """Return the images of a page.

    Raises:
        StudyError: An image of the study, or of the prior study with which it was compared, cannot be read any more.
    """
    images = shown_images(draft)
    names = image_names(draft, images, with_windows=not common_window(draft, images))
    outlined, without_outline = _attention(draft)
    shown = spread_indices(len(images))
    leading = 2 if outlined is None and len(shown) > 1 else 1
    first = [_figure_of(images[index], names[index], _SIDES) for index in shown[:leading]]
    first += [] if outlined is None else [outlined]
    further = [_figure_of(images[index], names[index], _SMALL_SIDES) for index in shown[leading:]]
    if (prior := _prior_figure(draft, beside=len(first) == 1)) is not None:
        (first if len(first) == 1 else further).append(prior)
    note = " ".join(_notes(draft, images, without_outline, has_outlines=outlined is not None))
    return PageFigures(first=tuple(first), further=tuple(further), note=note)


def _figure_of(image: Image, name: str, sides: tuple[int, int]) -> Figure:
    pixels = load_pixels(image)
    picture = resize(pixels, fit_size(pixels.shape, *sides))
    return _figure(picture, alternative=f"{name}, without markings", caption=name)


def _attention(draft: DraftDocument) -> tuple[Figure | None, str]:
    """Return the image with outlines, and what holds instead if nothing is outlined: the image would be a copy."""
    if draft.attention is None:
        return None, ""
    figure = _outlined_figure(draft, draft.attention)
    return (figure, "") if figure.outlined else (None, figure.caption)


def _outlined_figure(draft: DraftDocument, attention: Heatmap) -> Figure:
    size = fit_size(attention.image.shape, *_SIDES)
    drawn = outline_findings(draft.report, attention, size=size)
    outlined = tuple(map(outline_label, drawn.outlined))
    others = f"Present, no outline: {'; '.join(map(finding_label, drawn.others))}." if drawn.others else ""
    caption = others or f"{no_present_finding(draft.report)}."
    if outlined:
        shown = draft.given[0] if draft.given else None  # the image as the model was given it
        place = f" on {slice_names(draft.study).get(shown.key, 'slice 1').lower()}" if shown is not None else ""
        window = window_text(shown) if shown is not None and not common_window(draft, shown_images(draft)) else ""
        caption = " ".join(filter(None, [f"Attention of the model{place}{window}.", others]))
    return _figure(
        drawn.image,
        alternative=f"The image that the model used, with outlines: {'; '.join(outlined) or 'none'}",
        caption=caption,
        outlined=outlined,
    )


def _prior_figure(draft: DraftDocument, *, beside: bool) -> Figure | None:
    """Return the first image of the prior study with which the draft was compared; None without one."""
    prior, comparison = draft.compared_prior, draft.report.provenance.comparison
    if prior is None or comparison is None:
        return None
    image, count = prior.images[0], len(prior.images)
    number = f", image 1 of {count}" if count > 1 else ""
    name = f"Prior study, {days_earlier_text(comparison)}{number}, view {image.view_position.label}"
    return _figure_of(image, name, _SIDES if beside else _SMALL_SIDES)


def _figure(picture: PillowImage.Image, *, alternative: str, caption: str, outlined: tuple[str, ...] = ()) -> Figure:
    """Return a figure with its image as JPEG: a tenth of the size of PNG, and without a visible difference on paper."""
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90, subsampling=0)
    source = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    width, height = picture.size
    return Figure(
        source=source, width=width, height=height, alternative=alternative, caption=caption, outlined=outlined
    )


def _notes(
    draft: DraftDocument, images: tuple[Image, ...], without_outline: str, *, has_outlines: bool
) -> Iterator[str]:
    """Yield the sentences below the images."""
    if without_outline:
        yield without_outline
    if window := common_window(draft, images):
        yield f"Window of all slices: {window}."
    yield "Images are reduced in size and must not be used for diagnosis."
    if note := count_note(draft):
        yield note
    if has_outlines:
        yield ATTENTION_NOTE
