"""Order the images of one part of a series by position, or in time, and describe the stack that they form."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from report_gen.imaging.body_parts import scanned_body_parts
from report_gen.imaging.slice_geometry import Floats, plane_name
from report_gen.imaging.volumes.slice_stack import SliceStack
from report_gen.imaging.volumes.spacing import SliceSpacing, measure_spacing
from report_gen.imaging.volumes.splitting import instance_order, locations_along, places_along
from report_gen.records import Acquisition, Image, Series
from report_gen.word_lists import join_words

MANY_SLICES = 3000
"""Number of slices above which a stack has a notice. A scan of the whole body has 2,000 slices of 1 mm."""

_MIN_TILT = 0.5
"""Least angle that is reported as tilt, degrees, if it displaces the last slice by half a pixel or more."""
_APART = 2.0
"""Multiple of the thickness above which a spacing has a notice. MR usually has gaps of 10 to 50 % of the thickness."""
_MOST_GAPS = 3
"""Places of missing slices that a notice names."""
_OVERLAP = 0.99
"""Share of the thickness below which a spacing means that slices overlap; thickness is a nominal value."""


def stack_of_slices(
    images: Sequence[Image], series: Series, direction: Floats, *, part: str = ""
) -> tuple[SliceStack, list[Image]]:
    """Return the stack of images of one grid, and the duplicates that are not in it.

    Of several images of one place the first by instance number is kept. If all images show one place, they are a cine
    in the order of time, and all are kept.

    Args:
        images: Images with a usable plane, of equal orientation, size and pixel spacing; at least one.
        series: Their series.
        direction: Unit vector [3] along which slices are ordered.
        part: What distinguishes the images from others of the series.
    """
    places = places_along(images, direction)
    if len(images) > 1 and len(set(places)) == 1:
        return _stack(sorted(images, key=_time_order), series, direction, part, (_cine_notice(images),)), []
    by_place: dict[int, list[Image]] = defaultdict(list)
    for place, image in zip(places, images, strict=True):
        by_place[place].append(image)
    kept = [min(by_place[place], key=instance_order) for place in sorted(by_place)]
    keys = {image.key for image in kept}
    return _stack(kept, series, direction, part, ()), [image for image in images if image.key not in keys]


def stack_without_places(images: Sequence[Image], series: Series, *, part: str = "", notice: str = "") -> SliceStack:
    """Return images without position, such as the frames of a cine, in the order of frames or instance numbers."""
    ordered = sorted(images, key=lambda image: (-1 if image.frame is None else image.frame, *instance_order(image)))
    return replace(
        _empty_stack(series, part),
        images=tuple(ordered),
        positions=np.full(len(ordered), math.nan),
        times=_times(ordered),
        notices=(notice, *((_ONE_SLICE,) if len(ordered) == 1 else ())) if notice else (),
    )


def _stack(
    images: Sequence[Image], series: Series, direction: Floats, part: str, notices: tuple[str, ...]
) -> SliceStack:
    """Return the stack of ordered images with a plane."""
    planes = [image.plane for image in images if image.plane is not None]
    first = planes[0]
    corners = np.array([plane.position for plane in planes])
    positions = locations_along(images, direction)
    is_volume = len(images) > 1 and positions[-1] > positions[0]
    spacing = measure_spacing(corners, direction) if is_volume else None
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(first.row_direction, first.spacing[1])
    affine[:3, 1] = np.multiply(first.column_direction, first.spacing[0])
    # One slice has no spacing. Its thickness is what the slice axis measures; a matrix must be invertible.
    affine[:3, 2] = spacing.step if spacing else direction * (first.thickness or 1.0)
    affine[:3, 3] = first.position
    found = tuple(_spacing_notices(spacing, images, series, positions)) if spacing else ()
    return replace(
        _empty_stack(series, part),
        images=tuple(images),
        plane=plane_name(direction),
        spacing=spacing.distance if spacing else None,
        affine=affine,
        tilt=spacing.tilt if spacing else 0.0,
        positions=positions,
        times=_times(images),
        notices=notices + found + ((_ONE_SLICE,) if len(images) == 1 else ()),
    )


_ONE_SLICE = "one slice was given; findings elsewhere in the series cannot be seen"


def _spacing_notices(
    spacing: SliceSpacing, images: Sequence[Image], series: Series, positions: Floats
) -> Iterator[str]:
    """Yield sentences about what is not regular in the distances of slices."""
    first = images[0].plane
    if first is None:
        return
    if len(images) > MANY_SLICES:
        yield f"there are {len(images)} slices, more than one scan usually has"
    if spacing.missing:
        slices = "1 slice is" if spacing.missing == 1 else f"{spacing.missing} slices are"
        yield (
            f"{slices} missing between {_describe_gaps(spacing.gaps, positions)}: neighbors are up to "
            f"{spacing.largest:.4g} mm apart, and {spacing.distance:.4g} mm elsewhere"
        )
    elif not spacing.is_regular:
        yield (
            f"the distance of neighboring slices varies from {spacing.least:.4g} to {spacing.largest:.4g} mm, "
            f"the largest between {_describe_gaps(spacing.gaps, positions)}"
        )
    if spacing.tilt >= _MIN_TILT and spacing.shift > min(first.spacing) / 2:
        cause = "the gantry was tilted" if series.modality == "CT" else "the stack is tilted"
        yield f"{cause} by {spacing.tilt:.1f} degrees: each slice is displaced within its plane against the one before"
    if spacing.bend > min(first.spacing):
        yield f"the slices are displaced irregularly within their planes, by up to {spacing.bend:.4g} mm"
    if first.thickness and spacing.distance < _OVERLAP * first.thickness:
        yield f"the slices overlap: they are {first.thickness:.4g} mm thick and {spacing.distance:.4g} mm apart"
    elif first.thickness and spacing.distance > _APART * first.thickness:
        thickness, distance = f"{first.thickness:.4g} mm thick", f"{spacing.distance:.4g} mm apart"
        yield f"the slices are {thickness} and {distance}: what lies between them cannot be seen"


def _describe_gaps(gaps: Sequence[int], positions: Floats) -> str:
    """Return the slices on both sides of gaps by number and position, such as "slices 9 and 10 (at 27 and 33 mm)"."""
    shown = [
        f"slices {index + 1} and {index + 2} (at {positions[index]:.4g} and {positions[index + 1]:.4g} mm)"
        for index in gaps[:_MOST_GAPS]
    ]
    more = [f"{len(gaps) - _MOST_GAPS} other pairs"] if len(gaps) > _MOST_GAPS else []
    return join_words([*shown, *more])


def _cine_notice(images: Sequence[Image]) -> str:
    times = Counter(_time_order(image)[:-1] for image in images)
    order = "in time" if len(times) == len(images) else "by instance number, because no time distinguishes them"
    return f"all {len(images)} images show one place, so findings elsewhere cannot be seen; they are ordered {order}"


def _time_order(image: Image) -> tuple[object, ...]:
    """Return a sort key of images of one place: values of time, then of contrast, then the instance number."""
    one = image.acquisition or Acquisition()
    values = (one.temporal_position, one.trigger_time, one.seconds, one.number, one.echo_time, one.b_value)
    return (*((value is None, value or 0) for value in values), (*instance_order(image), image.frame or 0))


def _times(images: Sequence[Image]) -> Floats:
    """Return the time of each image, seconds; see `SliceStack.times`."""
    acquisitions = [image.acquisition or Acquisition() for image in images]
    seconds = [math.nan if one.seconds is None else one.seconds for one in acquisitions]
    if all(map(math.isnan, seconds)):
        seconds = [math.nan if one.trigger_time is None else one.trigger_time / 1000 for one in acquisitions]
    return np.array(seconds)


def _empty_stack(series: Series, part: str) -> SliceStack:
    """Return a stack without images that has the attributes of a series."""
    return SliceStack(
        images=(),
        part=part,
        modality=series.modality,
        modality_set=series.modality_set,
        description=next(iter(series.descriptions), None),
        body_parts=scanned_body_parts(series),
        series_number=series.series_number,
        series_instance_uid=series.series_instance_uid,
    )
