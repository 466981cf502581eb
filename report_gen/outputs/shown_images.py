"""Which images the documents of a draft show, in which windows, and how they are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from report_gen.imaging.volumes import DEFAULT_CT_WINDOW, body_part_window, describe_window, find_stacks
from report_gen.outputs.document import DraftDocument
from report_gen.records import Image, Report, Study, Window

MOST_IMAGES = 16
"""Largest number of images on a page: as many as the embedded models accept. More would fill several sheets."""
_WINDOW = "; window: "
"""Beginning of the text of a window."""
_CERTAIN = 0.9
"""Least probability of a predicted body part that determines the window. A draft has no threshold for body parts."""


def shown_images(draft: DraftDocument) -> tuple[Image, ...]:
    """Return the images that documents show: the slices that the model was given, or else the images of the study.

    CT slices whose header states neither a body part nor a window are shown in the window of the body part that the
    user set or that the model predicted with a probability of at least 0.9.
    """
    window = _window_of_body_part(draft.report)
    if window is None:
        return draft.shown
    return tuple(replace(image, window=window) if image.window == DEFAULT_CT_WINDOW else image for image in draft.shown)


def spread_indices(count: int) -> Sequence[int]:
    """Return the indices of the images that a page shows: all, or `MOST_IMAGES` at equal distances."""
    shown = min(count, MOST_IMAGES)
    return [number * count // shown for number in range(shown)]


def slice_names(study: Study) -> dict[tuple[Path, int | None], str]:
    """Return the name of each slice by the key of its image, such as "Slice 2 of 20" or "Stack 1, slice 2 of 20".

    The numbers are those of the notices of a draft and of `report-gen series`: in the order of the positions.
    """
    stacks = find_stacks(study).stacks
    names: dict[tuple[Path, int | None], str] = {}
    for number, stack in enumerate(stacks, start=1):
        word = "image" if stack.plane is None else "slice"
        place = f"Stack {number}, {word}" if len(stacks) > 1 else word.capitalize()
        names |= {image.key: f"{place} {index} of {len(stack.images)}" for index, image in enumerate(stack.images, 1)}
    return names


def image_names(draft: DraftDocument, images: Sequence[Image], *, with_windows: bool) -> list[str]:
    """Return the captions of the images of a draft without markings.

    Args:
        draft: Draft.
        images: Its `shown_images`.
        with_windows: Name the window of each slice.
    """
    if not draft.given:
        return [
            f"Image {index} of {len(images)}, view {image.view_position.label}"
            + (", not used by the model" if _is_unused(draft, image) else "")
            for index, image in enumerate(images, start=1)
        ]
    names = slice_names(draft.study)
    return [
        names.get(image.key, f"Slice {index + 1}") + (_window_of_slice(draft, images, index) if with_windows else "")
        for index, image in enumerate(images)
    ]


def common_window(draft: DraftDocument, images: Sequence[Image]) -> str:
    """Return the window that all of several slices have, so that captions need not repeat it; else an empty text."""
    windows = {_window_of_slice(draft, images, index) for index in range(len(images))} if draft.given else set()
    return windows.pop().removeprefix(_WINDOW) if len(windows) == 1 < len(images) else ""


def _window_of_slice(draft: DraftDocument, images: Sequence[Image], index: int) -> str:
    by_part = ", by the body part of the draft" if images[index].window != draft.shown[index].window else ""
    return f"{window_text(images[index])}{by_part}"


def window_text(image: Image) -> str:
    """Return the window of an image as the end of a caption; an empty text if the header decides how it is shown."""
    return "" if image.window is None else f"{_WINDOW}{describe_window(image.window)}"


def count_note(draft: DraftDocument) -> str:
    """Return how many images a page shows, and why not all; an empty text if it shows all images of the study."""
    count, shown = len(draft.shown), min(len(draft.shown), MOST_IMAGES)
    of_study = len(draft.study.images)
    what = f"{count} slices that the model was given" if draft.given else f"{count} images"
    if shown < count:
        note = f"{shown} of the {what} are shown, from all parts of the study: a page shows at most {MOST_IMAGES}."
    elif shown < of_study:
        note = f"All {what} are shown." if count > 1 else "The slice that the model was given is shown."
    else:
        return ""
    return f"{note} The study has {of_study} images." if of_study > count else note


def _is_unused(draft: DraftDocument, image: Image) -> bool:
    """Return whether the model got other images of the study, but not this one, such as a lateral view."""
    used = {file.sha256 for file in draft.report.provenance.inputs}
    return image.sha256 not in used and any(one.sha256 in used for one in draft.study.images)


def _window_of_body_part(report: Report) -> Window | None:
    """Return the CT window of the body part of a draft; None if the body part is not certain or has no window."""
    for attribute in report.attributes:
        is_certain = attribute.overridden or attribute.from_header or (attribute.probability or 0.0) >= _CERTAIN
        if attribute.name == "body_part" and attribute.value and is_certain:
            return body_part_window(attribute.value)
    return None
