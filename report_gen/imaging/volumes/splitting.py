"""Split the slices of a series into stacks: by their grid, and by what explains several images of one place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from report_gen.imaging.slice_geometry import MAX_ANGLE, Floats, angles_to
from report_gen.records import Acquisition, Image

SAME_PLACE = 0.01
"""Largest distance of two slices that show the same place, millimeters. Headers repeat a position digit by digit."""

_SAME_SPACING = 1e-3
"""Largest relative difference of equal pixel spacings: half a pixel at the border of a matrix of 1,024."""
_SAME_FIELD = 1.0
"""Largest distance within the plane of two images that show the same place, millimeters. Two fields of view in one
series, such as those of both hands, are farther apart."""
_SHARED = 0.5
"""Least share of the positions of a part that are those of another part as well. Parts that share fewer were scanned
one after the other, such as the stations of a long scan."""

_Part = tuple[str, tuple[Image, ...]]
"""What distinguishes some images of a series, and these images."""
_Value = tuple[Any, ...]
_Key = tuple[Path, int | None]


@dataclass(frozen=True)
class Parts:
    """The images of one grid, split into parts that show each place once, except for duplicates."""

    parts: tuple[_Part, ...]
    unexplained: int = 0
    """Number of images per place that no attribute distinguishes, if the parts were made by instance number."""


def split_by_frame(images: Sequence[Image]) -> list[tuple[Image, ...]]:
    """Group slices of the same frame of reference (PS3.3 C.7.4.1), in the order of the images.

    If a frame has only one slice, nothing is split: some anonymizers give every file a Frame of Reference UID of its
    own, and the positions of such files can be compared nevertheless.

    Args:
        images: Images with a usable plane.
    """
    frames: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        if image.plane is not None:
            frames[image.plane.frame_of_reference].append(image)
    if min(map(len, frames.values()), default=0) < 2:
        return [tuple(images)]
    return [tuple(group) for group in frames.values()]


def split_by_grid(images: Sequence[Image]) -> list[tuple[Image, ...]]:
    """Group slices of equal orientation (within `MAX_ANGLE`), number of rows and columns, and pixel spacing.

    Args:
        images: Images with a usable plane.

    Returns:
        The groups, and their images, in the order of the images.
    """
    planes = [image.plane for image in images if image.plane is not None]
    rows = np.array([plane.row_direction for plane in planes]).reshape(-1, 3)
    columns = np.array([plane.column_direction for plane in planes]).reshape(-1, 3)
    spacings = np.array([plane.spacing for plane in planes]).reshape(-1, 2)
    sizes = np.array([(image.rows, image.columns) for image in images]).reshape(-1, 2)
    remaining = np.ones(len(planes), dtype=bool)
    groups = []
    while remaining.any():
        first = int(np.argmax(remaining))
        is_same: NDArray[np.bool_] = (
            remaining
            & (angles_to(rows, rows[first]) <= MAX_ANGLE)
            & (angles_to(columns, columns[first]) <= MAX_ANGLE)
            & (sizes == sizes[first]).all(axis=1)
            & (np.abs(spacings - spacings[first]) <= _SAME_SPACING * spacings[first]).all(axis=1)
        )
        groups.append(tuple(images[index] for index in np.flatnonzero(is_same).tolist()))
        remaining &= ~is_same
    return groups


def places_along(images: Sequence[Image], direction: Floats) -> list[int]:
    """Return the number of the place of each image, counted along a direction; equal for images of one place."""
    locations = locations_along(images, direction)
    order = np.argsort(locations, kind="stable")
    steps = np.diff(locations[order], prepend=locations[order[:1]]) > SAME_PLACE
    places = np.empty(len(images), dtype=np.int64)
    places[order] = np.cumsum(steps)
    return [int(place) for place in places]


def locations_along(images: Sequence[Image], direction: Floats) -> Floats:
    """Return the coordinates [S] of images along a unit vector [3], millimeters."""
    return np.array([image.plane.position for image in images if image.plane]).reshape(-1, 3) @ direction


def split_by_acquisition(images: Sequence[Image], direction: Floats) -> Parts:
    """Split images that show the same places several times: echoes, phases, repetitions, kinds of images.

    An attribute splits the images only if it explains repeated places: its values differ between images of one place,
    and the images of one value (a part) share most of their places with another part. An attribute that varies along
    the stack, such as the acquisition number of each breath-hold, therefore splits nothing.

    If the values themselves differ from place to place, as trigger times of an ECG do, the parts are made of the first
    value of each place, the second, and so on. Images of the same places that no attribute distinguishes are split by
    the order of their instance numbers, if every place has the same number of them.

    Args:
        images: Images of one grid.
        direction: Unit vector [3] along which places are counted.
    """
    places = dict(zip((image.key for image in images), places_along(images, direction), strict=True))
    if len(set(places.values())) == len(images):
        return Parts((("", tuple(images)),))
    return _split("", tuple(images), places, _attributes(images))


def _split(
    label: str, images: tuple[Image, ...], places: Mapping[_Key, int], attributes: Sequence[_Attribute]
) -> Parts:
    """Split images by the first attribute that explains their repeated places, and each part by the next ones.

    Images of a single place are a cine: they are split by what they show, but not by when they were acquired, and only
    if several images of each kind remain.
    """
    counts = Counter(places[image.key] for image in images)
    if len(counts) == len(images):
        return Parts(((label, images),))
    is_cine = len(counts) == 1
    for index, attribute in enumerate(attributes):
        parts = [] if is_cine and attribute.is_time else _parts_by(attribute, images, places)
        if len(parts) > 1 and not (is_cine and min(len(part) for _, part in parts) == 1):
            found = [
                _split(", ".join(filter(None, (label, name))), part, places, attributes[index + 1 :])
                for name, part in parts
            ]
            return Parts(tuple(one for each in found for one in each.parts), max(each.unexplained for each in found))
    if not is_cine and len(set(counts.values())) == 1:
        repetitions = next(iter(counts.values()))
        ordered = _by_rank(images, places, lambda image: (*instance_order(image), image.key))
        named = (
            (", ".join(filter(None, (label, f"repetition {number} of {repetitions}"))), ordered[number - 1])
            for number in range(1, repetitions + 1)
        )
        return Parts(tuple(named), repetitions)
    return Parts(((label, images),))


@dataclass(frozen=True)
class _Attribute:
    """An attribute that may distinguish images of the same place."""

    value_of: Callable[[Image], _Value]
    """Returns a value that can be sorted."""
    name_of: Callable[[_Value], str]
    """Returns a text for users that names a value."""
    rank_name: str = ""
    """Name of a part that is made by rank; empty if the values must be the same at all places."""

    @property
    def is_time(self) -> bool:
        """Whether the attribute says when an image was acquired. Only such values differ from place to place."""
        return bool(self.rank_name)


def _parts_by(attribute: _Attribute, images: Sequence[Image], places: Mapping[_Key, int]) -> list[_Part]:
    """Return the parts by the values of an attribute, or by their ranks; one or none if it explains nothing."""
    by_place: dict[int, set[_Value]] = defaultdict(set)
    by_value: dict[_Value, list[Image]] = defaultdict(list)
    for image in images:
        by_place[places[image.key]].add(attribute.value_of(image))
        by_value[attribute.value_of(image)].append(image)
    most = max(map(len, by_place.values()))
    if most == 1:
        return []
    if len(by_value) == most:
        if _are_parallel([{places[image.key] for image in part} for part in by_value.values()]):
            return [(attribute.name_of(value), tuple(by_value[value])) for value in sorted(by_value)]
        return []
    repeated = sum(len(values) > 1 for values in by_place.values())
    if not attribute.is_time or repeated < _SHARED * len(by_place):
        return []
    ranked = _by_rank(images, places, attribute.value_of)
    return [(f"{attribute.rank_name} {rank} of {len(ranked)}", part) for rank, part in enumerate(ranked, start=1)]


def _are_parallel(places: Sequence[set[int]]) -> bool:
    """Return whether each part, the largest excepted, shares most of its places with others."""
    counts = Counter(place for part in places for place in part)
    by_size = sorted(places, key=len)
    return all(sum(counts[place] > 1 for place in part) >= _SHARED * len(part) for part in by_size[:-1])


def _by_rank(
    images: Sequence[Image], places: Mapping[_Key, int], value_of: Callable[[Image], _Value]
) -> list[tuple[Image, ...]]:
    """Return the images with the least value of their place, those with the second, and so on."""
    by_place: dict[int, list[Image]] = defaultdict(list)
    for image in images:
        by_place[places[image.key]].append(image)
    ranks: dict[_Key, int] = {}
    for group in by_place.values():
        order = {value: rank for rank, value in enumerate(sorted({value_of(image) for image in group}))}
        ranks.update((image.key, order[value_of(image)]) for image in group)
    parts: list[list[Image]] = [[] for _ in range(max(ranks.values()) + 1)]
    for image in images:
        parts[ranks[image.key]].append(image)
    return [tuple(part) for part in parts]


def _attributes(images: Sequence[Image]) -> tuple[_Attribute, ...]:
    """Return the attributes, those first that change what an image shows and not only when it was acquired."""
    fields = _fields_of_view(images)
    return (
        _Attribute(lambda image: (fields[image.key],), lambda value: f"field of view {value[0] + 1}"),
        _Attribute(_optional("kind"), lambda value: _kind_name(value[1])),
        _Attribute(_optional("echo_time"), _with_unit("echo time", "ms")),
        _Attribute(_optional("b_value"), _with_unit("b-value", "s/mm2")),
        _Attribute(_optional("contrast_agent"), lambda value: f"{'with' if value[1] else 'without'} contrast agent"),
        _Attribute(_optional("temporal_position"), _with_unit("temporal position"), "temporal position"),
        _Attribute(_optional("trigger_time"), _with_unit("trigger time", "ms"), "phase"),
        _Attribute(_optional("number"), _with_unit("acquisition"), "acquisition"),
        _Attribute(_optional("seconds"), _with_unit("time", "s"), "time"),
    )


def _optional(name: str) -> Callable[[Image], _Value]:
    """Return a function that returns an attribute of the acquisition as a sortable value: unknown values come first."""

    def value_of(image: Image) -> _Value:
        value = getattr(image.acquisition or Acquisition(), name)
        return (value is not None, 0 if value is None else value)

    return value_of


def _with_unit(name: str, unit: str = "") -> Callable[[_Value], str]:
    def name_of(value: _Value) -> str:
        return " ".join(filter(None, (name, f"{value[1]:g}" if value[0] else "unknown", unit if value[0] else "")))

    return name_of


def _kind_name(kind: str | int) -> str:
    return str(kind).replace("\\", " ") if kind else "unknown kind"


def _fields_of_view(images: Sequence[Image]) -> dict[_Key, int]:
    """Return the number of the field of view of each image: those at a distance within the plane have several.

    Tilted slices move within their planes from place to place; the number then explains nothing and is ignored.
    """
    plane = next(image.plane for image in images if image.plane)
    axes = np.array([plane.row_direction, plane.column_direction]).T
    offsets = np.array([image.plane.position for image in images if image.plane]).reshape(-1, 3) @ axes
    numbers = np.full(len(images), -1)
    for number in range(len(images)):
        first = int(np.argmax(numbers < 0))
        if numbers[first] >= 0:
            break
        near = np.abs(offsets - offsets[first]).max(axis=1) <= _SAME_FIELD
        numbers[near & (numbers < 0)] = number
    return dict(zip((image.key for image in images), map(int, numbers), strict=True))


def instance_order(image: Image) -> tuple[bool, int]:
    """Return a sort key that puts images without instance number last."""
    return image.instance_number is None, image.instance_number or 0
