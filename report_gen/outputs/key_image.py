"""Draw the key image of a draft: the radiograph with outlines of its present findings, and the banner of the draft.

Outlines are drawn instead of colors over the image, because they hide no anatomy and are readable in a print in black
and white. Each has a number and its own dashes as well as a color.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw

from report_gen.imaging import load_pixels
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.present_findings import (
    finding_label,
    no_present_finding,
    outline_label,
    present_findings,
)
from report_gen.outputs.shown_images import image_names, shown_images, window_text
from report_gen.outputs.text import model_line, notice_line
from report_gen.records import BANNER, Finding, Heatmap, Report
from report_gen.rendering.outlines import draw_outlines, find_outline, label_font, outline_color
from report_gen.rendering.wrapping import wrap_text

LARGEST_SIDE = 2048
"""Largest width and height of the radiograph in a key image, pixels."""
_SMALLEST_SIDE = 1024
"""Least larger side: the texts would not fit beside a smaller radiograph, so it is enlarged."""
_LEAST_WIDTH = 20
"""Least width of a key image, in heights of its text: a narrower radiograph has black margins beside it."""
_MOST_OUTLINES = 4
"""More outlines over one another cannot be told apart."""

ATTENTION_NOTE = (
    "An outline surrounds the area where the attention of the model for a finding is at least half of its maximum. "
    "It shows what the model used, not the extent of the finding. The number after a finding is its probability."
)
_BANNER_COLOR = "#ffd54f"
"""Color of the banner and of the notices of a forced draft."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OutlinedImage:
    """The radiograph that the model got, with outlines of the present findings."""

    image: PillowImage.Image
    outlined: tuple[Finding, ...]
    """Findings with an outline. The first has the number 1."""
    others: tuple[Finding, ...]
    """Present findings without an outline: the model has no attention for them, it points to no place, or there are
    enough outlines already."""


def key_image(draft: DraftDocument) -> NDArray[np.uint8]:
    """Draw the radiograph of a draft, the outlines of its present findings and the texts that every draft has.

    Banner and notices are above the radiograph, the names of the findings and of the model are below it, so that they
    hide no anatomy.

    Args:
        draft: Draft. Without `attention`, its first image is drawn without outlines.

    Returns:
        RGB [H,W,3]. The radiograph in it has the aspect ratio of the image and at most 2048 columns and rows.

    Raises:
        StudyError: The image cannot be read any more.
    """
    if draft.attention is None:
        images = shown_images(draft)
        pixels = load_pixels(images[0])
        name = image_names(draft, images, with_windows=True)[0]
        size = fit_size(pixels.shape, _SMALLEST_SIDE, LARGEST_SIDE)
        drawn = OutlinedImage(
            image=draw_outlines(pixels, (), size=size), outlined=(), others=present_findings(draft.report)
        )
    else:
        name = f"The image that the model used{window_text(draft.given[0])}" if draft.given else ""
        size = fit_size(draft.attention.image.shape, _SMALLEST_SIDE, LARGEST_SIDE)
        drawn = outline_findings(draft.report, draft.attention, size=size)
    text_size = max(14, round(max(size) / 60))
    width = max(size[0], _LEAST_WIDTH * text_size)
    notices = [
        (notice_line(notice), _BANNER_COLOR if notice in draft.report.forced_notices else "white")
        for notice in draft.report.notices
    ]
    above = _text_strip([(BANNER, _BANNER_COLOR), *notices], width, text_size)
    named = [(name, "white")] if draft.given else []
    below = _text_strip(
        [*_legend(drawn, draft.report), *named, (model_line(draft.report), "#bdbdbd")], width, text_size
    )
    canvas = PillowImage.new("RGB", (width, above.height + size[1] + below.height))
    canvas.paste(above, (0, 0))
    canvas.paste(drawn.image, ((width - size[0]) // 2, above.height))
    canvas.paste(below, (0, above.height + size[1]))
    return np.asarray(canvas)


def outline_findings(report: Report, attention: Heatmap, *, size: tuple[int, int]) -> OutlinedImage:
    """Draw the outlines of the most probable present findings over the radiograph.

    Args:
        report: Draft.
        attention: Attention weights of the same study.
        size: Width and height of the drawn radiograph, pixels.
    """
    present = present_findings(report)
    outlines = {
        finding.name: find_outline(attention.weights[finding.name], attention.square, attention.part)
        for finding in present
        if finding.name in attention.weights
    }
    outlined = tuple(finding for finding in present if outlines.get(finding.name) is not None)[:_MOST_OUTLINES]
    image = draw_outlines(attention.image, [outlines[finding.name] for finding in outlined], size=size)
    others = tuple(finding for finding in present if finding not in outlined)
    return OutlinedImage(image=image, outlined=outlined, others=others)


def fit_size(shape: Sequence[int], smallest: int, largest: int) -> tuple[int, int]:
    """Return width and height of an image [H,W] whose larger side is brought into a range, at the same aspect ratio."""
    rows, columns = shape
    scale = min(max(1.0, smallest / max(rows, columns)), largest / max(rows, columns))
    return max(1, round(columns * scale)), max(1, round(rows * scale))


def _legend(drawn: OutlinedImage, report: Report) -> Iterator[tuple[str, str]]:
    """Yield the lines below the radiograph with their colors."""
    for index, finding in enumerate(drawn.outlined):
        yield f"{index + 1}  {outline_label(finding)}", outline_color(index)
    if drawn.others:
        note = "read from the text" if report.findings_from_text else "no outline"
        yield f"Present, {note}: {'; '.join(map(finding_label, drawn.others))}", "white"
    if not (drawn.outlined or drawn.others):
        yield f"{no_present_finding(report)}.", "white"
    if drawn.outlined:
        yield ATTENTION_NOTE, "#bdbdbd"


def _text_strip(lines: Sequence[tuple[str, str]], width: int, size: int) -> PillowImage.Image:
    """Draw lines of text on black, wrapped to a width; each line is a text and its color."""
    font, margin = label_font(size), size // 2
    wrapped = [(line, color) for text, color in lines for line in wrap_text(text, font, width - 2 * margin)]
    height = round(1.4 * size)
    strip = PillowImage.new("RGB", (width, len(wrapped) * height + 2 * margin))
    draw = ImageDraw.Draw(strip)
    for number, (line, color) in enumerate(wrapped):
        draw.text((margin, margin + number * height), line, fill=color, font=font)
    return strip
