"""Windows of CT and percentiles of other modalities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import apply_windowing

from report_gen.imaging import known_body_parts
from report_gen.imaging.volumes import (
    CT_WINDOWS,
    Volume,
    Window,
    apply_windows,
    choose_windows,
    ct_windows,
    find_stacks,
    look_like_hounsfield,
    robust_window,
    sample_values,
)
from report_gen.imaging.volumes.windows import LIKE_HOUNSFIELD, NO_BODY_PART, NOT_HOUNSFIELD, confirm_windows
from report_gen.imaging.windowing import apply_window
from report_gen.records import Image
from tests.slice_files import slices_at, study_of

Values = NDArray[np.float32]


def _volume(values: NDArray[np.float64], modality: str | None, **changes: Any) -> Volume:
    """Return a volume of values [S,H,W]."""
    images = slices_at(range(len(values)), rows=values.shape[1], columns=values.shape[2])
    (stack,) = find_stacks(study_of(images, modality=modality, **changes)).stacks  # type: ignore[arg-type]

    def load(images: Iterable[Image]) -> Iterator[Values]:
        for image in images:
            yield values[(image.instance_number or 0) - 1].astype(np.float32)

    return Volume(stack, load)


def _ct(shape: tuple[int, int, int] = (8, 20, 20)) -> NDArray[np.float64]:
    """Return half air and half water with noise, Hounsfield units, and a corner outside of the scanner."""
    values = np.random.default_rng(0).normal(0, 20, shape)
    values[:, :10] -= 1000
    values[:, 0, 0] = -3024
    return values


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("lung", -1350, 150),
        ("mediastinum", -125, 225),
        ("abdomen", -150, 250),
        ("liver", -45, 105),
        ("brain", 0, 80),
        ("stroke", 20, 60),
        ("spine", -75, 175),
        ("bone", -500, 1300),
    ],
)
def test_ct_windows_have_the_limits_of_radiopaedia(name: str, low: float, high: float) -> None:
    window = CT_WINDOWS[name]
    values = np.array([[low - 1, low, window.center, high, high + 1]], dtype=np.float32)
    np.testing.assert_array_equal(apply_window(values, window), [[0, 0, 0.5, 1, 1]])


def test_a_window_is_applied_as_pydicom_applies_it() -> None:
    values = np.linspace(-2000, 2000, 997, dtype=np.float32)[None]
    for window in CT_WINDOWS.values():
        dataset = Dataset()
        dataset.PhotometricInterpretation, dataset.VOILUTFunction = "MONOCHROME2", "LINEAR_EXACT"
        dataset.BitsStored, dataset.PixelRepresentation = 16, 0
        dataset.WindowCenter, dataset.WindowWidth = window.center, window.width
        expected = apply_windowing(values, dataset) / (2**16 - 1)
        np.testing.assert_allclose(apply_windows(values, [window])[0], expected, atol=1e-6)


def test_there_is_one_image_for_each_window_and_padding_is_black() -> None:
    values = np.array([[[-600, np.nan, np.inf, -np.inf]]], dtype=np.float32)
    intensities = apply_windows(values, [CT_WINDOWS["lung"], CT_WINDOWS["bone"]])
    assert (intensities.shape, intensities.dtype) == ((2, 1, 1, 4), np.float32)
    np.testing.assert_array_equal(intensities[:, 0, 0], [[0.5, 0, 1, 0], [0, 0, 1, 0]])
    assert np.isnan(values[0, 0, 1]), "the values are not changed"


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({"chest"}, ["lung", "mediastinum", "bone"]),
        ({"chest", "ribs"}, ["lung", "mediastinum", "bone"]),
        ({"head"}, ["brain", "subdural", "bone"]),
        ({"abdomen", "pelvis"}, ["abdomen", "liver", "bone"]),
        ({"spine"}, ["spine", "soft tissue", "bone"]),
        ({"chest", "abdomen", "pelvis"}, ["lung", "soft tissue", "bone"]),
        ({"neck"}, ["lung", "soft tissue", "bone"]),
        (set(), ["lung", "soft tissue", "bone"]),
    ],
)
def test_the_windows_of_ct_are_those_of_the_body_part(parts: set[str], names: list[str]) -> None:
    assert parts <= known_body_parts()
    assert [window.name for window in ct_windows(parts)] == names


def test_ct_without_body_part_has_a_notice() -> None:
    assert choose_windows(_volume(_ct(), "CT", body_part="HEAD")).notices == ()
    chosen = choose_windows(_volume(_ct(), "CT"))
    assert ([window.name for window in chosen.windows], chosen.notices) == (
        ["lung", "soft tissue", "bone"],
        (NO_BODY_PART,),
    )


def test_the_window_of_mr_is_that_of_the_whole_stack() -> None:
    values = np.random.default_rng(0).gamma(2, 100, (40, 30, 30))
    values[5] *= 0.1  # a dark slice stays dark
    values[6, 0, 0] = 1e6  # one voxel does not make all others black
    (window,) = choose_windows(_volume(values, "MR")).windows
    low, high = np.percentile(values.astype(np.float32), [0.5, 99.5])
    assert (window.center, window.width) == (pytest.approx((low + high) / 2), pytest.approx(high - low))
    assert apply_windows(values[5].astype(np.float32), [window]).mean() < 0.1


def test_percentiles_of_a_part_of_a_large_stack_are_those_of_all_values() -> None:
    values = np.random.default_rng(0).gamma(2, 100, (70, 300, 301))
    volume = _volume(values, "MR")
    sample = sample_values(volume)
    assert 2**21 < sample.size <= 2**22
    window = robust_window(sample)
    low, high = np.percentile(values, [0.5, 99.5])
    assert window.center == pytest.approx((low + high) / 2, rel=0.01)
    assert window.width == pytest.approx(high - low, rel=0.01)


def test_padding_does_not_count_for_percentiles() -> None:
    values = np.random.default_rng(0).uniform(10, 20, (4, 30, 30))
    values[:, :20] = np.nan
    (window,) = choose_windows(_volume(values, "MR")).windows
    assert window.center == pytest.approx(15, abs=0.1)


@pytest.mark.parametrize("values", [np.full((3, 4, 4), 7.0), np.full((3, 4, 4), np.nan)])
def test_a_uniform_stack_has_a_window(values: NDArray[np.float64]) -> None:
    (window,) = choose_windows(_volume(values, "MR")).windows
    assert window.width > 0
    np.testing.assert_array_equal(apply_windows(values.astype(np.float32), [window]), 0)


def test_a_mask_with_few_voxels_is_visible() -> None:
    values = np.zeros((10, 30, 30))
    values[5, 5, 5] = 1
    (window,) = choose_windows(_volume(values, "MR")).windows
    assert window == Window("percentiles", 0.5, 1.0)


def test_a_stack_without_modality_is_taken_for_ct_if_its_values_are_hounsfield_units() -> None:
    chosen = choose_windows(_volume(_ct(), None))
    assert chosen.windows == ct_windows(())
    assert chosen.notices == (LIKE_HOUNSFIELD, NO_BODY_PART)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).gamma(2, 100, (4, 9, 9)),  # MR
        np.random.default_rng(0).normal(0, 1, (4, 9, 9)),  # normalized
        _ct() + 1000,  # stored values of a CT whose rescale is lost
        _ct() * 100,
        _ct()[:, :10],  # air only
    ],
)
def test_other_values_are_not_taken_for_hounsfield_units(values: NDArray[np.float64]) -> None:
    assert not look_like_hounsfield(values.ravel().astype(np.float32))
    chosen = choose_windows(_volume(values, None))
    assert ([window.name for window in chosen.windows], chosen.notices) == (["percentiles"], ())


def test_a_ct_whose_rescale_is_lost_has_a_notice() -> None:
    stored = _ct() - _ct().min()  # no value below 0
    for values, notices in ((_ct(), ()), (stored, (NOT_HOUNSFIELD,)), (np.zeros_like(stored), ())):
        volume = _volume(values, "CT", body_part="HEAD")
        assert choose_windows(volume).notices == notices
        assert confirm_windows(volume, [CT_WINDOWS["lung"]]).notices == notices
        assert choose_windows(volume).windows == ct_windows(["head"])


@pytest.mark.parametrize(
    ("offset", "scale", "windows"),
    [
        (0, 1, ("lung", "mediastinum", "bone")),  # as measured
        (850, 1, ("lung", "mediastinum", "bone")),  # air of a lung at -150 and no other air, as in a cropped CT
        (1024, 1, ("percentiles",)),  # stored values without rescale
        (1024, 1 / 2048, ("percentiles",)),  # normalized
    ],
)
def test_a_ct_that_the_user_states_has_ct_windows_unless_its_values_are_others(
    offset: float, scale: float, windows: tuple[str, ...]
) -> None:
    values = (_ct() + offset).clip(-3024 + offset if offset < 1000 else 0) * scale
    stated = _volume(values, "CT", body_part="CHEST", modality_set=True)
    chosen = choose_windows(stated)
    assert tuple(window.name for window in chosen.windows) == windows
    assert bool(chosen.notices) == (windows == ("percentiles",))
