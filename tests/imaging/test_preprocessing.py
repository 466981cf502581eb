"""Preprocessing steps: crops at known borders and bands, filters against the answer of other libraries, and safety."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from pydantic import TypeAdapter

from report_gen.config import PreprocessingStep
from report_gen.imaging import preprocessing
from report_gen.imaging.preprocessing import preprocess, preprocessing_stages
from report_gen.records import Box
from tests.image_steps import anatomy, step

NAMES = ("crop_borders", "crop_bands", "median", "non_local_means", "clahe", "percentiles")


def noise(rows: int, columns: int, scale: float = 1.0, seed: int = 0) -> NDArray[np.float32]:
    return (scale * np.random.default_rng(seed).random((rows, columns))).astype(np.float32)


def band(text: str, rows: int = 40, columns: int = 160, background: int = 0, ink: int = 255) -> NDArray[np.float32]:
    """Return a band of text, drawn by Pillow."""
    image = PIL.Image.new("L", (columns, rows), background)
    PIL.ImageDraw.Draw(image).text((10, 8), text, fill=ink, font_size=18)
    return np.asarray(image, dtype=np.float32) / 255


def box(pixels: NDArray[np.float32], name: str, **parameters: Any) -> Box:
    stage = preprocess(pixels, [step(name, **parameters)])
    np.testing.assert_array_equal(stage.pixels, pixels[stage.box.slices])
    return stage.box


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_border_is_cropped_to_the_pixel(value: float) -> None:
    pixels = np.full((260, 230), value, dtype=np.float32)
    pixels[20:220, 30:190] = anatomy()
    assert box(pixels, "crop_borders") == Box(20, 30, 200, 160)


def test_borders_of_two_sides_with_noise_and_a_marker() -> None:
    pixels = 0.03 * noise(240, 200)
    pixels[:200, 40:] = anatomy()
    pixels[100:104, 5:25] = 1  # a marker of 4 rows in a border of 40 columns
    assert box(pixels, "crop_borders") == Box(0, 40, 200, 160)


def test_a_white_frame_around_a_black_border() -> None:
    pixels = np.ones((250, 210), dtype=np.float32)
    pixels[5:-5, 5:-5] = 0
    pixels[25:225, 25:185] = anatomy()
    assert box(pixels, "crop_borders") == Box(25, 25, 200, 160)


@pytest.mark.parametrize("angle", [2, 5])
def test_a_tilted_field_stays_whole(angle: float) -> None:
    field = np.zeros((300, 300), dtype=np.float32)
    field[50:250, 70:230] = anatomy()
    tilted = np.clip(scipy.ndimage.rotate(field, angle, reshape=False, order=1), 0, 1)
    found = box(tilted, "crop_borders", share=0.995)
    outside = tilted.copy()
    outside[found.slices] = 0
    assert (outside > 0.1).sum() < 0.01 * (tilted > 0.1).sum()
    assert found.rows * found.columns < 0.75 * tilted.size


def test_no_border_no_crop() -> None:
    assert box(anatomy(), "crop_borders") == Box(0, 0, 200, 160)


def test_a_crop_that_would_leave_too_little_is_not_made() -> None:
    pixels = np.zeros((100, 100), dtype=np.float32)
    pixels[40:60, 40:60] = anatomy(20, 20)
    assert box(pixels, "crop_borders") == Box(0, 0, 100, 100)
    assert box(pixels, "crop_borders", remaining=0.1) == Box(40, 40, 20, 20)


def test_a_single_bright_pixel_on_black_leaves_nothing_to_crop_to() -> None:
    pixels = np.zeros((64, 64), dtype=np.float32)
    pixels[30, 30] = 1
    assert box(pixels, "crop_borders") == Box(0, 0, 64, 64)


@pytest.mark.parametrize(("background", "ink"), [(0, 255), (255, 0), (40, 200)])
def test_bands_of_text_above_and_below_are_cropped(background: int, ink: int) -> None:
    top, bottom = (band(text, background=background, ink=ink) for text in ("SMITH JOHN", "2026-01-02"))
    pixels = np.concatenate([top, anatomy(), bottom])
    assert box(pixels, "crop_bands", stroke=0.02) == Box(40, 0, 200, 160)


def test_a_band_at_the_side_is_cropped() -> None:
    pixels = np.concatenate([band("SMITH", columns=200).T, anatomy()], axis=1)
    assert box(pixels, "crop_bands", stroke=0.02) == Box(0, 40, 200, 160)


def test_a_border_without_text_is_no_band() -> None:
    pixels = np.concatenate([np.zeros((40, 160), np.float32), anatomy()])
    assert box(pixels, "crop_bands") == Box(0, 0, 240, 160)


def test_text_that_goes_on_into_the_image_is_not_cut() -> None:
    """The letters lie half on the black margin and half on the anatomy."""
    pixels = np.concatenate([np.zeros((40, 160), np.float32), anatomy()])
    letters = band("SMITH JOHN", rows=40)
    pixels[20:60] = np.maximum(pixels[20:60], letters)
    pixels[39, 20:30] = 1
    assert box(pixels, "crop_bands", stroke=0.02) == Box(0, 0, 240, 160)


def test_a_large_dark_area_with_text_is_no_band() -> None:
    pixels = np.concatenate([band("SMITH JOHN", rows=120), anatomy()])
    assert box(pixels, "crop_bands", stroke=0.02) == Box(0, 0, 320, 160)


def test_the_boxes_of_several_crops_add_up() -> None:
    framed = np.ones((220, 200), dtype=np.float32)
    framed[10:210, 15:175] = anatomy()
    pixels = np.concatenate([band("SMITH JOHN", columns=200), framed])
    stages = list(preprocessing_stages(pixels, [step("crop_bands", stroke=0.02), step("crop_borders")]))
    assert [stage.box for stage in stages] == [Box(0, 0, 260, 200), Box(40, 0, 220, 200), Box(50, 15, 200, 160)]
    np.testing.assert_array_equal(stages[-1].pixels, anatomy())


@pytest.mark.parametrize("size", [3, 5])
def test_the_median_equals_that_of_scipy(size: int) -> None:
    pixels = noise(40, 30)
    expected = scipy.ndimage.median_filter(pixels, size, mode="nearest")
    np.testing.assert_array_equal(preprocess(pixels, [step("median", size=size)]).pixels, expected)


def test_the_median_removes_a_single_bright_pixel() -> None:
    pixels = np.full((9, 9), 0.25, dtype=np.float32)
    pixels[4, 4] = 1
    np.testing.assert_array_equal(preprocess(pixels, [step("median")]).pixels, np.float32(0.25))


def test_non_local_means_remove_noise_and_keep_an_edge() -> None:
    clean = np.full((80, 80), 0.25, dtype=np.float32)
    clean[:, 40:] = 0.75
    noisy = (clean + np.random.default_rng(0).normal(0, 0.05, clean.shape)).astype(np.float32)
    denoised = preprocess(noisy, [step("non_local_means", sigma=0.05)]).pixels
    assert np.std(denoised - clean) < 0.4 * np.std(noisy - clean)
    assert np.diff(denoised[:, 39:41]).mean() == pytest.approx(0.5, abs=0.03)


def test_non_local_means_are_those_of_the_definition() -> None:
    """Every pixel against every other, patch by patch, as Buades et al. define it with the noise variance removed."""
    pixels, sigma, patch, distance, strength = noise(12, 11), 0.1, 3, 2, 0.8
    parameters = {"sigma": sigma, "patch": patch, "distance": distance, "strength": strength}
    found = preprocess(pixels, [step("non_local_means", **parameters)]).pixels
    from skimage.restoration import denoise_nl_means

    slow = denoise_nl_means(
        pixels.astype(np.float64), patch_size=patch, patch_distance=distance, h=strength * sigma, sigma=sigma
    )
    np.testing.assert_allclose(found, slow, atol=1e-5)


def test_percentiles_become_black_and_white() -> None:
    """Percentiles 10 and 90 of 0..100 are 10 and 90; the range between them is stretched linearly."""
    pixels = (np.arange(101, dtype=np.float32) / 200).reshape(1, -1)  # 0..0.5
    stretched = preprocess(pixels, [step("percentiles", lower=10, upper=90)]).pixels
    expected = np.clip((np.arange(101) - 10) / 80, 0, 1).reshape(1, -1)
    np.testing.assert_allclose(stretched, expected, atol=1e-6)


def test_clahe_with_one_tile_and_no_limit_equalizes_the_histogram() -> None:
    """Intensities x**2 of a uniform x become x again, to within the first of the 1024 bins: x < 1/32."""
    uniform = noise(256, 256)
    equalized = preprocess(uniform**2, [step("clahe", tiles=1, limit=100, bins=1024)]).pixels
    assert np.abs(uniform**2 - uniform).max() > 0.2
    assert np.abs(equalized - uniform).max() < 0.05


def test_clahe_with_the_least_limit_hardly_changes_the_image() -> None:
    ramp = np.linspace(0, 1, 256 * 256, dtype=np.float32).reshape(256, 256)
    changed = preprocess(ramp, [step("clahe", limit=1)]).pixels
    assert np.abs(changed - ramp).max() < 0.05


def test_clahe_raises_low_contrast() -> None:
    pixels = anatomy()
    pixels[:100] = 0.5 + (pixels[:100] - 0.5) / 10
    raised = preprocess(pixels, [step("clahe", limit=10)]).pixels
    assert raised[:80].std() > 3 * pixels[:80].std()


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_of_16_bits_keeps_more_than_8_bits(name: str) -> None:
    gradient = (np.arange(256 * 256, dtype=np.float32) / 65535).reshape(256, 256)
    gradient += noise(256, 256, 1e-4)
    levels = np.unique(preprocess(np.clip(gradient, 0, 1), [step(name)]).pixels)
    assert len(levels) > 2000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (64, 64)])
def test_a_uniform_image_stays(name: str, value: float, shape: tuple[int, int]) -> None:
    pixels = np.full(shape, value, dtype=np.float32)
    stage = preprocess(pixels, [step(name)])
    np.testing.assert_array_equal(stage.pixels, pixels)
    assert stage.box == Box(0, 0, *shape)


@pytest.mark.parametrize("name", NAMES)
@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
        elements=st.floats(0, 1, width=32),
    )
)
def test_small_images_stay_in_range_and_the_same_twice(name: str, pixels: NDArray[np.float32]) -> None:
    before = pixels.copy()
    first, second = (preprocess(pixels, [step(name)]) for _ in range(2))
    np.testing.assert_array_equal(pixels, before)
    assert first.pixels.dtype == np.float32
    assert min(first.pixels.shape) >= 1
    assert first.pixels.shape == (first.box.rows, first.box.columns)
    assert np.isfinite(first.pixels).all()
    assert first.pixels.min() >= 0
    assert first.pixels.max() <= 1
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_the_order_of_the_steps_matters() -> None:
    pixels = np.clip(anatomy() / 2 + (noise(200, 160) > 0.97), 0, 1)
    one, other = step("median"), step("percentiles", lower=5, upper=95)
    assert not np.array_equal(preprocess(pixels, [one, other]).pixels, preprocess(pixels, [other, one]).pixels)


def test_no_steps_return_the_image_itself() -> None:
    pixels = anatomy()
    assert preprocess(pixels, ()).pixels is pixels


def test_a_step_without_name_or_with_a_wrong_value_is_refused() -> None:
    for parameters in ({"size": 3}, {"name": "sharpen"}, {"name": "median", "size": 4}, {"name": "clahe", "limit": 0}):
        with pytest.raises(ValueError, match=r"name|size|limit"):
            TypeAdapter(PreprocessingStep).validate_python(parameters)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("median", {"size": 9}),
        ("non_local_means", {"patch": 9, "distance": 6}),
        ("non_local_means", {"patch": 3, "distance": 1}),
    ],
)
def test_strips_give_the_pixels_of_the_whole_image(
    monkeypatch: pytest.MonkeyPatch, name: str, parameters: dict[str, Any]
) -> None:
    pixels = noise(70, 40)
    whole = preprocess(pixels, [step(name, **parameters)]).pixels
    monkeypatch.setattr(preprocessing, "_STRIP_PIXELS", 400)  # 10 rows
    np.testing.assert_allclose(preprocess(pixels, [step(name, **parameters)]).pixels, whole, atol=1e-5)


@pytest.mark.parametrize(("size", "bright"), [(1, True), (1, False), (2, True), (3, False)])
def test_strokes_are_erased_as_by_the_morphology_of_scikit_image(size: int, bright: bool) -> None:
    """A pixel differs from the answer only where scikit-image takes another value, and none does."""
    from skimage.morphology import closing, footprint_rectangle, opening

    pixels = noise(50, 41)
    side = size + 2
    footprint = footprint_rectangle((side, side), decomposition="separable")
    found = -scipy.ndimage.grey_closing(-pixels, size=side) if bright else scipy.ndimage.grey_closing(pixels, size=side)
    np.testing.assert_array_equal(found, (opening if bright else closing)(pixels, footprint))


class TimeOverError(Exception):
    """Ends the preprocessing."""


@pytest.mark.parametrize("name", NAMES)
def test_the_work_ends_at_a_check(name: str) -> None:
    """Before each step, and within the slow ones."""
    checks = []

    def check() -> None:
        checks.append(len(checks))
        if len(checks) == 3:
            raise TimeOverError

    with pytest.raises(TimeOverError):
        preprocess(noise(32, 32), [step(name)] * 12, check=check)
    assert len(checks) == 3


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"name": "clahe", "tiles": 64, "bins": 16384}, "64 x 64 tiles of 16384 bins are 67108864 bins; use at most"),
        ({"name": "clahe", "tiles": 33, "bins": 4096}, "use at most 4194304"),
        ({"name": "non_local_means", "distance": 7}, "less than or equal to 6"),
    ],
)
def test_a_step_that_takes_minutes_or_gigabytes_is_refused(parameters: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        TypeAdapter(PreprocessingStep).validate_python(parameters)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("clahe", {"tiles": 64, "bins": 1024}),
        ("clahe", {"tiles": 16, "bins": 16384}),
        ("non_local_means", {"patch": 9, "distance": 6}),
        ("median", {"size": 9}),
        ("crop_bands", {"stroke": 0.05}),
    ],
)
@pytest.mark.parametrize("size", [32, 512])
def test_the_slowest_steps_take_a_second(name: str, parameters: dict[str, Any], size: int) -> None:
    pixels = noise(size, size)
    start = time.process_time()
    preprocess(pixels, [step(name, **parameters)])
    assert time.process_time() - start < 3  # 0.7 seconds at most on one core
