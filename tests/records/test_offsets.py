"""Offsets of images from planes and times, computed by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from report_gen.records import Acquisition, Image, SlicePlane, Vector, ViewOffset, view_offsets

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
NAN = math.nan


def image(**changes: Any) -> Image:
    return Image(path=Path("a.dcm"), sha256="", rows=2, columns=2, **changes)


def slice_at(z: float, directions: tuple[Vector, Vector] = AXIAL, seconds: float | None = None) -> Image:
    row, column = directions
    plane = SlicePlane(position=(3.0, 4.0, z), row_direction=row, column_direction=column, spacing=(1.0, 1.0))
    return image(plane=plane, acquisition=None if seconds is None else Acquisition(seconds=seconds))


def test_millimeters_along_the_normal_of_the_first_slice_toward_the_head() -> None:
    offsets = view_offsets([image(), slice_at(-20), slice_at(-15), slice_at(-32.5)])
    assert [offset.mm for offset in offsets] == pytest.approx([NAN, 0, 5, -12.5], nan_ok=True)
    assert {offset.days for offset in offsets} == {0}
    assert all(math.isnan(offset.seconds) for offset in offsets)


def test_millimeters_along_an_oblique_normal() -> None:
    directions = ((1.0, 0.0, 0.0), (0.0, 0.6, -0.8))  # normal (0, 0.8, 0.6)
    first, second = view_offsets([slice_at(0, directions), slice_at(10, directions)])
    assert (first.mm, second.mm) == pytest.approx((0, 6))


def test_a_localizer_lies_nowhere_in_the_stack() -> None:
    offsets = view_offsets([slice_at(0), slice_at(50, CORONAL), slice_at(5)])
    assert [offset.mm for offset in offsets] == pytest.approx([0, NAN, 5], nan_ok=True)


def test_a_slice_that_is_seen_from_the_other_side_is_parallel() -> None:
    turned = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    assert [offset.mm for offset in view_offsets([slice_at(0), slice_at(5, turned)])] == pytest.approx([0, 5])


def test_seconds_from_the_first_known_time_also_after_midnight() -> None:
    offsets = view_offsets([image(), slice_at(0, seconds=86_390.0), slice_at(0, seconds=15.5), slice_at(0)])
    assert [offset.seconds for offset in offsets] == pytest.approx([NAN, 0, 25.5, NAN], nan_ok=True)
    later, earlier = view_offsets([slice_at(0, seconds=15.5), slice_at(0, seconds=86_390.0)])
    assert (later.seconds, earlier.seconds) == pytest.approx((0, -25.5))


def test_the_offset_that_a_corpus_states_has_precedence() -> None:
    stated = ViewOffset(mm=7.0, days=-30.0)
    first, second = view_offsets([slice_at(1), image(offset=stated)])
    assert first.mm == 0
    assert second is stated


def test_nothing_is_known_of_images_without_header_but_that_they_are_of_one_day() -> None:
    (offset,) = view_offsets([image()])
    assert list(offset) == pytest.approx([NAN, NAN, 0], nan_ok=True)
    assert view_offsets([]) == ()
