"""Find the stacks of slices in a study, and say which images are in none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from report_gen.imaging.modality import SLICE_MODALITIES
from report_gen.imaging.slice_geometry import plane_name, stack_direction
from report_gen.imaging.volumes.ordering import stack_of_slices, stack_without_places
from report_gen.imaging.volumes.set_aside import classify_image
from report_gen.imaging.volumes.slice_stack import SetAside, SliceStack, StackCollection
from report_gen.imaging.volumes.splitting import split_by_acquisition, split_by_frame, split_by_grid
from report_gen.records import Image, Series, Study

_NO_POSITION = "no position in the patient, which other images of the series have"
"""Reason for an image of which the reader states no other."""
_DUPLICATE = "duplicate of a slice of the same place and acquisition"
_SINGLE = "single image without position in the patient"

_Key = TypeVar("_Key")


def find_stacks(study: Study) -> StackCollection:
    """Order the slices of a study into stacks, and set aside what is no slice of a scan.

    Slices of one series belong to one stack if they have the same frame of reference, size and pixel spacing, and if
    their rows and columns differ by 1 degree at most. If a series shows places several times, it is split by the
    attributes that explain this: field of view, kind of image (Image Type), echo time, b-value, contrast agent,
    temporal position, trigger time, acquisition number and time, in this order; an attribute that varies along the
    stack splits nothing. Slices are ordered by their position along the normal and never by instance number.

    Set aside are localizers, dose reports, maximum and minimum intensity projections, secondary captures, phantoms,
    duplicates, and images without position in a series whose others have one. Reformatted slices (MPR) are set aside if
    the study has other slices, which they repeat.

    Frames of one file without positions, such as an ultrasound cine, are a stack in the order of time, and so are
    images of CT, MR, PT or NM without any position, by instance number and with a notice.

    Args:
        study: A study whose images have planes as far as their headers state one.

    Returns:
        The stacks in the order of the series, the other images with reasons, and notices.
    """
    found = [_find_in_series(series, with_reformats=False) for series in study.series]
    notices: list[str] = []
    if not any(one.stacks for one in found):
        again = [_find_in_series(series, with_reformats=True) for series in study.series]
        if any(one.stacks for one in again):
            found = again
            notices.append("the study has no original slices, only reformatted ones")
    return StackCollection(
        stacks=tuple(stack for one in found for stack in one.stacks),
        set_aside=tuple(aside for one in found for aside in one.set_aside()),
        notices=(*notices, *(notice for one in found for notice in one.notices)),
    )


@dataclass
class _Found:
    """What was found in one series."""

    series: Series
    stacks: list[SliceStack] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    aside: dict[str, list[Image]] = field(default_factory=lambda: defaultdict(list))
    """Images by the reason for which they are in no stack."""

    def set_aside(self) -> Iterator[SetAside]:
        """Yield the images that are in no stack, those of one reason together."""
        number, description = self.series.series_number, next(iter(self.series.descriptions), None)
        for reason, images in self.aside.items():
            yield SetAside(images=tuple(images), reason=reason, series_number=number, description=description)

    def notice(self, text: str) -> None:
        number = self.series.series_number
        self.notices.append(f"series {'without number' if number is None else number}: {text}")


def _find_in_series(series: Series, *, with_reformats: bool) -> _Found:
    found = _Found(series)
    slices: list[Image] = []
    for image in series.images:
        use, reason = classify_image(image, series)
        if use == "slice" or (use == "reformat" and with_reformats):
            slices.append(image)
        else:
            found.aside[reason].append(image)
    placed = [image for image in slices if image.plane is not None]
    others = [image for image in slices if image.plane is None]
    if placed:
        for problem, images in _grouped(others, lambda image: image.plane_problem or _NO_POSITION).items():
            found.aside[problem] += images
            found.notice(f"{_images(len(images))} left out: {problem}")
        _add_placed(placed, found)
    elif others:
        _add_unplaced(others, found)
    return found


def _add_placed(images: Sequence[Image], found: _Found) -> None:
    """Add the stacks of images with a plane."""
    frames = split_by_frame(images)
    if len(frames) > 1:
        found.notice(
            f"the slices have {len(frames)} frames of reference, between which positions cannot be compared; each of "
            "them is a separate stack"
        )
    for frame in frames:
        _add_frame(frame, found)


def _add_frame(images: Sequence[Image], found: _Found) -> None:
    """Add the stacks of images of one frame of reference."""
    groups = split_by_grid(images)
    _notice_mixture(groups, found)
    for group in groups:
        plane = group[0].plane
        if plane is None:
            continue
        direction = stack_direction(np.array(plane.normal))
        split = split_by_acquisition(group, direction)
        if split.unexplained:
            found.notice(
                f"each place has {split.unexplained} images that no attribute of the header distinguishes; they were "
                "separated by instance number"
            )
        for part, members in split.parts:
            stack, duplicates = stack_of_slices(members, found.series, direction, part=part)
            found.stacks.append(stack)
            if duplicates:
                found.aside[_DUPLICATE] += duplicates
                verb = "repeats" if len(duplicates) == 1 else "repeat"
                found.notice(f"{_images(len(duplicates))} that {verb} the place and acquisition of others left out")


def _notice_mixture(groups: Sequence[Sequence[Image]], found: _Found) -> None:
    """Add a notice if the slices of a series have several orientations, or one orientation and several grids."""
    if len(groups) < 2:
        return
    planes = [group[0].plane for group in groups]
    names = Counter(plane_name(stack_direction(np.array(plane.normal))) for plane in planes if plane is not None)
    kinds = ", ".join(f"{number} {name}" if number > 1 else name for name, number in names.items())
    found.notice(
        f"the slices have {len(groups)} different orientations, sizes or pixel spacings ({kinds}); each of them is a "
        "separate stack"
    )


def _add_unplaced(images: Sequence[Image], found: _Found) -> None:
    """Add the stacks of images of a series in which no image has a plane."""
    series = found.series
    by_file = _grouped(images, lambda image: image.path).values()
    cines = [group for group in by_file if len(group) > 1]
    for number, group in enumerate(cines, start=1):
        part = f"cine {number} of {len(cines)}" if len(cines) > 1 else ""
        notice = _unknown_places(group, "their file") if any(image.plane_problem for image in group) else ""
        found.stacks.append(stack_without_places(group, series, part=part, notice=notice))
    singles = [image for group in by_file if len(group) == 1 for image in group]
    for group in _grouped(singles, lambda image: (image.rows, image.columns)).values():
        if series.modality in SLICE_MODALITIES and len(group) > 1:
            notice = _unknown_places(group, "their instance numbers")
            found.stacks.append(stack_without_places(group, series, notice=notice))
        else:
            found.aside[_SINGLE] += group


def _unknown_places(images: Sequence[Image], order: str) -> str:
    """Return a notice on slices without positions, which are in this order."""
    problems = ", ".join(sorted({image.plane_problem for image in images if image.plane_problem}))
    return (
        f"no image has a usable position in the patient{f' ({problems})' if problems else ''}: the slices are in the "
        f"order of {order}, and their distances, the direction of the order and the sides of the patient are not known"
    )


def _grouped(images: Sequence[Image], key: Callable[[Image], _Key]) -> dict[_Key, list[Image]]:
    groups: dict[_Key, list[Image]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return groups


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number} images"
