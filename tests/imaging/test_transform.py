"""Fitting into the square: geometry computed by hand, the placement, and the resizing of Pillow."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray

from report_gen.imaging.transform import ImageTransform, Placement
from report_gen.records import Box
from tests.image_steps import anatomy, step


def transform(size: int = 32, channels: int = 3, mean: float = 0.5, std: float = 0.25) -> ImageTransform:
    return ImageTransform(size=size, channels=channels, mean=mean, std=std)


def noise(rows: int, columns: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random((rows, columns), dtype=np.float32)


@pytest.mark.parametrize(
    ("rows", "columns", "placement"),
    [
        (32, 32, Placement(32, 32, 32, 1.0, 0, 0)),
        (64, 128, Placement(64, 128, 32, 0.25, 8, 0)),  # 16 x 32, so 8 black rows above and below
        (128, 64, Placement(128, 64, 32, 0.25, 0, 8)),
        (8, 16, Placement(8, 16, 32, 2.0, 8, 0)),
        (3000, 5, Placement(3000, 5, 32, 32 / 3000, 0, 15)),  # never thinner than one pixel
    ],
)
def test_an_image_is_centered_and_keeps_its_aspect_ratio(rows: int, columns: int, placement: Placement) -> None:
    square, found = transform().fit(np.ones((rows, columns), dtype=np.float32))
    assert found == placement
    assert square.shape == (32, 32)
    inside = square[placement.top :, placement.left :][: max(1, round(rows * placement.scale))]
    inside = inside[:, : max(1, round(columns * placement.scale))]
    torch.testing.assert_close(inside, torch.ones_like(inside))
    assert float(square.sum()) == pytest.approx(inside.numel())


@pytest.mark.parametrize("shape", [(200, 320), (320, 200), (17, 23)])
@pytest.mark.parametrize("place", [(0.1, 0.2), (0.5, 0.5), (0.8, 0.9)])
def test_the_placement_locates_a_bright_pixel(shape: tuple[int, int], place: tuple[float, float]) -> None:
    row, column = int(place[0] * shape[0]), int(place[1] * shape[1])
    pixels = np.zeros(shape, dtype=np.float32)
    pixels[row, column] = 1
    square, placed = transform(64).fit(pixels)
    weights = square / square.sum()
    center_row = (weights.sum(1) * (torch.arange(64) + 0.5)).sum()
    center_column = (weights.sum(0) * (torch.arange(64) + 0.5)).sum()
    assert float(center_row) == pytest.approx((row + 0.5) * placed.scale + placed.top, abs=0.6)
    assert float(center_column) == pytest.approx((column + 0.5) * placed.scale + placed.left, abs=0.6)


def test_the_placement_of_a_cropped_image_is_that_in_the_loaded_image() -> None:
    """A field of 100 x 150 at (20, 30) is scaled by 1/2 into 75 x 75, below 12 black rows."""
    pixels = np.zeros((160, 220), dtype=np.float32)
    pixels[20:120, 30:180] = anatomy(100, 150)
    cropping = ImageTransform(size=75, channels=1, mean=0, std=1, steps=(step("crop_borders"),))
    square, placed = cropping.fit(pixels)
    assert placed == Placement(100, 150, 75, 0.5, 12, 0, 20, 30)
    assert placed.part == Box(20, 30, 100, 150)
    assert placed.target == Box(12, 0, 50, 75)
    assert placed.square == (30.0, -4.0, 150.0)
    alone, _ = ImageTransform(size=75, channels=1, mean=0, std=1).fit(pixels[20:120, 30:180])
    assert torch.equal(square, alone)


@pytest.mark.parametrize("place", [(40, 50), (100, 170), (25, 100)])
def test_a_point_of_the_square_maps_back_to_its_pixel_of_a_cropped_image(place: tuple[int, int]) -> None:
    """The target size equals the field, so that the bright pixel is one pixel of the square."""
    pixels = np.zeros((160, 220), dtype=np.float32)
    pixels[20:120, 30:180] = anatomy(100, 150)
    pixels[place] = 1
    square, placed = ImageTransform(size=150, channels=1, mean=0, std=1, steps=(step("crop_borders"),)).fit(pixels)
    row, column = divmod(int(square.argmax()), 150)
    left, top, side = placed.square
    assert (top + row * side / 150, left + column * side / 150) == place


def test_the_stages_end_in_what_is_fitted() -> None:
    pixels = np.zeros((120, 100), dtype=np.float32)
    pixels[30:] = anatomy(90, 100)
    stepped = ImageTransform(size=45, channels=1, mean=0, std=1, steps=(step("crop_borders"), step("clahe")))
    image = stepped.stages(pixels)
    assert [(name, shown.shape) for name, shown in image.stages] == [
        ("image", (120, 100)),
        ("crop_borders", (90, 100)),
        ("clahe", (90, 100)),
    ]
    square, placed = stepped.fit(pixels)
    np.testing.assert_array_equal(image.square, square.numpy())
    assert (image.part, image.target) == (placed.part, placed.target) == (Box(30, 0, 90, 100), Box(2, 0, 40, 45))


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_a_uniform_image_stays_uniform(value: float) -> None:
    square, _ = transform().fit(np.full((100, 100), value, dtype=np.float32))
    torch.testing.assert_close(square, torch.full((32, 32), value))


def test_an_image_of_the_target_size_is_unchanged() -> None:
    pixels = noise(32, 32)
    assert torch.equal(transform().fit(pixels)[0], torch.from_numpy(pixels))


def test_intensities_stay_in_their_range() -> None:
    square, _ = transform(48).fit(noise(7, 9))
    assert square.min() >= 0
    assert square.max() <= 1


@pytest.mark.parametrize("side", [100, 20])
def test_resizing_equals_that_of_pillow(side: int) -> None:
    pixels = noise(side, side)
    expected = PIL.Image.fromarray(pixels).resize((32, 32), PIL.Image.Resampling.BILINEAR)
    np.testing.assert_allclose(transform().fit(pixels)[0].numpy(), np.asarray(expected), atol=1e-5)


def test_resizing_is_antialiased() -> None:
    """Fine lines become gray; without antialiasing they would become black or white."""
    lines = np.zeros((128, 128), dtype=np.float32)
    lines[::2] = 1
    square, _ = transform().fit(lines)
    torch.testing.assert_close(square[2:-2, 2:-2], torch.full((28, 28), 0.5), atol=0.05, rtol=0)


def test_a_view_with_negative_strides_is_read_as_it_shows() -> None:
    pixels = noise(32, 32)
    assert torch.equal(transform().fit(pixels[::-1])[0], torch.from_numpy(pixels).flip(0))


def test_normalizing_repeats_the_gray_image() -> None:
    squares = torch.rand(2, 5, 8, 8)
    values = transform(8).normalize(squares)
    assert values.shape == (2, 5, 3, 8, 8)
    for channel in range(3):
        torch.testing.assert_close(values[:, :, channel], (squares - 0.5) / 0.25)
