"""Which slices are chosen for a model that takes V images."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from report_gen.imaging.volumes import chunks, sample_by_content, sample_evenly, slice_contents

_NUMBERS, _VIEWS = st.integers(0, 300), st.integers(1, 40)
_CONTENTS = st.lists(st.floats(0, 6) | st.just(0.0), min_size=0, max_size=60)


@pytest.mark.parametrize(
    ("number", "views", "indices"),
    [
        (10, 1, (5,)),
        (10, 2, (0, 9)),
        (11, 3, (0, 5, 10)),
        (10, 4, (0, 3, 6, 9)),
        (3, 8, (0, 1, 2)),
        (0, 4, ()),
    ],
)
def test_slices_are_spread_evenly(number: int, views: int, indices: tuple[int, ...]) -> None:
    assert sample_evenly(number, views) == indices


@given(_NUMBERS, _VIEWS)
def test_evenly_spread_slices_are_different_ascending_and_contain_both_ends(number: int, views: int) -> None:
    indices = sample_evenly(number, views)
    assert len(indices) == min(number, views)
    assert list(indices) == sorted(set(indices))
    if number and views > 1:
        assert (indices[0], indices[-1]) == (0, number - 1)
    if len(indices) > 1:
        assert np.ptp(np.diff(indices)) <= 1


@given(_CONTENTS, _VIEWS)
def test_slices_by_content_are_different_ascending_and_lie_between_the_empty_ends(
    contents: list[float], views: int
) -> None:
    indices = sample_by_content(contents, views)
    assert indices == sample_by_content(np.array(contents), views)
    assert list(indices) == sorted(set(indices))
    filled = [index for index, content in enumerate(contents) if content >= 0.25 * max(contents)]
    if not filled:
        assert indices == ()
        return
    assert len(indices) == min(views, filled[-1] - filled[0] + 1)
    assert filled[0] <= indices[0]
    assert indices[-1] <= filled[-1]


def test_empty_slices_at_the_ends_are_skipped_and_inside_they_count_little() -> None:
    contents = [0, 0, 0.2] + [4] * 12 + [0.1, 0.1] + [4] * 12 + [0, 0.3, 0, 0]
    assert sample_by_content(contents, 6) == (5, 9, 13, 18, 22, 26)
    assert sample_by_content(contents, 100) == tuple(range(3, 29))


def test_slices_with_more_content_are_chosen_more_often() -> None:
    indices = sample_by_content([2] * 30 + [6] * 30, 12)
    assert sum(index >= 30 for index in indices) == 9  # three quarters of the content


def test_equal_contents_are_spread_evenly() -> None:
    assert sample_by_content([3] * 12, 4) == (1, 4, 7, 10)
    assert sample_by_content([0] * 9, 3) == (0, 4, 8)


def test_contents_that_are_no_numbers_count_nothing() -> None:
    assert sample_by_content([np.nan, 4, 4, np.inf], 4) == (1, 2)


def test_one_slice_with_nearly_all_content_is_chosen_once() -> None:
    assert sample_by_content([1, 1, 4, 1, 1, 1], 5) == (0, 2, 3, 4, 5)
    assert sample_by_content([1, 1, 1, 1, 1, 4], 5) == (0, 2, 3, 4, 5)


@given(_NUMBERS, _VIEWS)
def test_chunks_contain_every_slice_once(number: int, views: int) -> None:
    parts = chunks(number, views)
    assert [index for part in parts for index in part] == list(range(number))
    assert all(len(part) == views for part in parts[:-1])
    assert all(0 < len(part) <= views for part in parts)


@pytest.mark.parametrize(
    "choose", [lambda: sample_evenly(5, 0), lambda: sample_by_content([1], 0), lambda: chunks(5, 0)]
)
def test_no_views_is_an_error(choose: object) -> None:
    with pytest.raises(ValueError, match="0 views: give a number of 1 or more"):
        choose()  # type: ignore[operator]


def test_the_content_of_a_slice_is_the_entropy_of_its_gray_levels() -> None:
    black = np.zeros((4, 4), dtype=np.float32)
    half = np.array([[0, 1], [0, 1]], dtype=np.float32)
    levels = ((np.arange(64) + 0.5) / 64).astype(np.float32).reshape(8, 8)
    noise = np.random.default_rng(0).uniform(0, 1, (3, 50, 50)).astype(np.float32) ** 3
    contents = slice_contents([black, half, levels, noise])
    shares = np.histogram(noise, bins=64, range=(0, 1))[0]
    np.testing.assert_allclose(contents, [0, 1, 6, entropy(shares, base=2)], atol=1e-6)
