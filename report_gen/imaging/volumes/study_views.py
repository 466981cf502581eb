"""Choose the slices of a study that a model gets, as images with a window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from report_gen.errors import StudyError
from report_gen.imaging.display_orientation import display_transform
from report_gen.imaging.volumes.slice_stack import SliceStack
from report_gen.imaging.volumes.stacks import find_stacks
from report_gen.imaging.volumes.views import ChosenSlices, Sampling, choose_slices
from report_gen.imaging.volumes.volume import open_volume
from report_gen.imaging.volumes.windows import (
    ChosenWindow,
    ChosenWindows,
    choose_window,
    confirm_windows,
    describe_window,
)
from report_gen.records import Image, Study, Window

_LEAST_SLICES = 10
"""Least number of slices of a volume; the authors of Astra refuse fewer as well."""


@dataclass(frozen=True)
class StudyViews:
    """A study with the slices that a model gets."""

    study: Study
    """The study with V images. Slices have a `window`, so that `load_pixels` shows them as the model gets them."""
    notices: tuple[str, ...]
    """Which slices and windows were chosen, what was set aside, and what is missing or irregular."""


def choose_views(
    study: Study, views: int, *, sampling: Sampling = "content", windows: Sequence[Window] = ()
) -> StudyViews:
    """Choose V slices of a study with slices.

    The slices are shared out equally among the stacks. If there are more stacks than V, those with most slices are
    shown. A slice is shown in the window of its modality and body part, see `choose_window`.

    Args:
        study: A study with slices or frames, see `has_slices`.
        views: Number V of slices, at least 1.
        sampling: How the slices of a stack are chosen.
        windows: Windows in Hounsfield units that the model gets of each slice, in place of those of the body part.

    Raises:
        StudyError: No image of the study belongs to a stack, a slice cannot be read, or there are `windows`, but the
            values are no Hounsfield units.
    """
    found = find_stacks(study)
    notices = [*found.notices, *(f"set aside: {aside}" for aside in found.set_aside)]
    if not found.stacks:
        reason = "has no series of slices" + "".join(f"; {notice}" for notice in notices)
        raise StudyError(study.path, f"{reason}; give a series of CT or MR slices")
    images: list[Image] = []
    shares = share_views([len(stack.images) for stack in found.stacks], views)
    for number, (stack, share) in enumerate(zip(found.stacks, shares, strict=True), start=1):
        name = f"stack {number}: " if len(found.stacks) > 1 else ""
        if not share:
            notices.append(f"{name}its {len(stack.images)} slices are not shown to the model, which takes {views}")
            continue
        chosen = choose_slices(open_volume(stack), share, sampling=sampling, windows=windows)
        single = ChosenWindow(chosen.windows[0], chosen.notices)
        if not windows:
            single = choose_window(stack, ChosenWindows(chosen.windows, chosen.notices))
        shown = () if stack.is_displayed else windows or (single.window,)
        images += [_shown_in(stack.images[index], next(iter(shown), None)) for index in chosen.indices]
        notices += [name + notice for notice in _describe(stack, chosen, shown)]
        notices += [name + notice for notice in (*stack.notices, *single.notices, *_unknown_kind(stack))]
    return StudyViews(study.with_images(images), tuple(notices))


def choose_volume(study: Study, window: Window) -> StudyViews:
    """Choose the axial CT with most slices, for a model that gets a whole volume.

    Args:
        study: A study with slices or frames, see `has_slices`.
        window: Window in Hounsfield units that the model gets.

    Returns:
        The study with all slices of this stack, from foot to head.

    Raises:
        StudyError: There is no axial stack of 10 slices or more, or its values are not Hounsfield units.
    """
    found = find_stacks(study)
    notices = [*found.notices, *(f"set aside: {aside}" for aside in found.set_aside)]
    axial = [stack for stack in found.stacks if stack.plane == "axial" and len(stack.images) >= _LEAST_SLICES]
    if not axial:
        stacks = ", ".join(f"{len(stack.images)} {stack.plane or 'without position'}" for stack in found.stacks)
        reason = f"has no axial CT of {_LEAST_SLICES} slices or more, which the model reads as a whole"
        raise StudyError(study.path, f"{reason} (slices: {stacks or 'none'}); give a series of axial CT slices")
    stack = max(axial, key=lambda stack: len(stack.images))
    volume = open_volume(stack)
    confirmed = confirm_windows(volume, (window,))
    notices += [
        f"{len(other.images)} slices of another stack are not shown to the model"
        for other in found.stacks
        if other is not stack
    ]
    notices += [f"all {len(stack.images)} axial slices were given to the model{_describe_windows((window,))}"]
    images = [_shown_in(image, window) for image in stack.images]
    return StudyViews(study.with_images(images), (*notices, *stack.notices, *confirmed.notices))


def share_views(slices: Sequence[int], views: int) -> tuple[int, ...]:
    """Return how many of V views each stack gets: equal numbers, as far as it has slices.

    Args:
        slices: Number of slices of each stack.
        views: V, at least 1.
    """
    largest_first = sorted(range(len(slices)), key=lambda index: (-slices[index], index))[:views]
    shares = [0] * len(slices)
    left = min(views, sum(slices[index] for index in largest_first))
    while left:
        for index in largest_first:
            if left and shares[index] < slices[index]:
                shares[index] += 1
                left -= 1
    return tuple(shares)


def _unknown_kind(stack: SliceStack) -> Iterator[str]:
    """Yield a notice if the file of a stack states no modality, as NIfTI never does."""
    if stack.modality is None:
        unknown = "no modality" if stack.body_parts else "no modality and no body part"
        example = "modality=CT" if stack.body_parts else "modality=CT, body_part=chest"
        yield f"the file states {unknown}; state it with Study.with_attributes (for example {example})"


def _shown_in(image: Image, window: Window | None) -> Image:
    """Return an image that is shown in a window, with its size and spacing after it is turned."""
    if window is None or image.plane is None or not display_transform(image.plane).transpose:
        return replace(image, window=window)
    spacing = None if image.pixel_spacing is None else (image.pixel_spacing[1], image.pixel_spacing[0])
    return replace(image, window=window, rows=image.columns, columns=image.rows, pixel_spacing=spacing)


def _describe_windows(windows: Sequence[Window]) -> str:
    """Return the windows as the end of a notice; an empty text if there is none."""
    described = "; ".join(map(describe_window, windows))
    return f", window{'s' if len(windows) > 1 else ''}: {described}" if windows else ""


def _describe(stack: SliceStack, chosen: ChosenSlices, windows: Sequence[Window]) -> Iterator[str]:
    """Yield notices that state which slices a model gets, and in which windows."""
    number = len(stack.images)
    kind = f"{stack.plane} slices" if stack.plane else "images"
    shown = _describe_windows(windows)
    if len(chosen.indices) < number:
        numbers = ", ".join(str(index + 1) for index in chosen.indices)
        yield f"{len(chosen.indices)} of {number} {kind} were given to the model (numbers {numbers}){shown}"
    elif windows:
        given = f"the only {kind.removesuffix('s')} was" if number == 1 else f"all {number} {kind} were"
        yield f"{given} given to the model{shown}"
