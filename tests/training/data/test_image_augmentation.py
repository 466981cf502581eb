"""Images are changed a little, as the recipe specifies, and never mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from report_gen_training.data import image_augmentation
from report_gen_training.data.image_augmentation import augment, draw_change
from report_gen_training.recipe.schema import AugmentationRecipe
from scipy import ndimage

from tests.builders import corner_image, noise_image

STRONGEST = AugmentationRecipe(degrees=20, shift=0.2, scale=0.3, gamma=2, noise=0.2, blur=3)
NONE: dict[str, float] = {"degrees": 0, "shift": 0, "scale": 0, "gamma": 1, "noise": 0, "blur": 0}


def square(pixels: Any) -> torch.Tensor:
    return torch.from_numpy(pixels).float() / 255


def augmented(squares: torch.Tensor, seeds: Sequence[int], recipe: AugmentationRecipe) -> torch.Tensor:
    return augment(squares, [draw_change(np.random.default_rng(seed), recipe) for seed in seeds], recipe)


def changed(image: torch.Tensor, *, seed: int = 0, **changes: float) -> torch.Tensor:
    recipe = AugmentationRecipe.model_validate(NONE | changes)
    return augmented(image[None], [seed], recipe)[0]


@pytest.mark.parametrize("corner", range(4))
def test_a_corner_stays_in_its_corner(corner: int) -> None:
    squares = augmented(square(corner_image(corner, 64)).expand(100, 64, 64), range(100), AugmentationRecipe())
    halves = squares.unflatten(1, (2, 32)).unflatten(3, (2, 32)).mean((2, 4))  # [100,2,2]
    assert set(halves.flatten(1).argmax(dim=1).tolist()) == {corner}


@pytest.mark.parametrize("seed", range(20))
def test_orientation_is_kept(seed: int) -> None:
    """A mirror reverses the order of three marks around their center; rotation, shift and scaling do not."""
    marks = torch.zeros(3, 96, 96)
    for mark, (row, column) in zip(marks, ((34, 44), (54, 60), (56, 38)), strict=True):
        mark[row - 2 : row + 2, column - 2 : column + 2] = 1.0
    noiseless = STRONGEST.model_copy(update={"noise": 0.0})
    moved = augmented(marks, [seed] * 3, noiseless)
    (y1, x1), (y2, x2), (y3, x3) = [ndimage.center_of_mass(mark.numpy()) for mark in moved]
    assert (x2 - x1) * (y3 - y1) - (x3 - x1) * (y2 - y1) > 50


def test_a_recipe_without_changes_changes_nothing() -> None:
    image = square(noise_image(0))
    torch.testing.assert_close(changed(image), image, atol=1e-5, rtol=0)


def test_each_image_depends_on_its_own_seed_only() -> None:
    images = torch.stack([square(noise_image(seed)) for seed in range(3)])
    together = augmented(images, range(3), AugmentationRecipe())
    for seed in range(3):
        alone = augmented(images[seed : seed + 1], [seed], AugmentationRecipe())
        torch.testing.assert_close(together[seed : seed + 1], alone, atol=1e-6, rtol=0)
    assert not torch.equal(*augmented(images[:1].expand(2, -1, -1), range(2), STRONGEST))


def test_images_stay_in_range() -> None:
    images = torch.stack([square(noise_image(seed)) for seed in range(8)])
    found = augmented(images, range(8), STRONGEST)
    assert found.shape == images.shape
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_a_rotation_equals_one_of_scipy() -> None:
    """About the center, by an angle within the recipe's range."""
    image = torch.from_numpy(ndimage.gaussian_filter(noise_image(0, 64).astype(np.float32) / 255, 3))
    found = changed(image, degrees=20.0, seed=3).numpy()
    angles = np.arange(-20, 20.01, 0.25)
    turned = [ndimage.rotate(image.numpy(), angle, reshape=False, order=1) for angle in angles]
    errors = [np.abs(one - found)[16:48, 16:48].mean() for one in turned]
    assert min(errors) < 0.002 < np.abs(image.numpy() - found)[16:48, 16:48].mean()


def test_a_shift_is_within_its_range() -> None:
    image = torch.zeros(50, 50)
    image[25, 25] = 1.0
    moved = [changed(image, shift=0.1, seed=seed) for seed in range(50)]
    centers = np.array([ndimage.center_of_mass(one.numpy()) for one in moved]) - 25
    assert np.abs(centers).max() <= 5 + 1e-3
    assert np.abs(centers).max() > 4
    assert np.sign(centers).sum(axis=0).tolist() != [50, 50]


@pytest.mark.parametrize("seed", range(3))
def test_gamma_is_a_power_within_its_range(seed: int) -> None:
    image = torch.full((8, 8), 0.25)
    power = float(changed(image, gamma=2.0, seed=seed)[0, 0].log() / image[0, 0].log())
    assert 0.5 <= power <= 2.0
    assert power != pytest.approx(1.0, abs=1e-3)


def test_a_blur_is_a_gaussian_and_removes_noise() -> None:
    image = square(noise_image(1, 64))
    found = changed(image, blur=2.0, seed=1).numpy()
    assert found[16:48, 16:48].std() < image.numpy()[16:48, 16:48].std()
    best = min(
        np.abs(ndimage.gaussian_filter(image.numpy(), deviation, mode="nearest", truncate=6) - found).max()
        for deviation in np.arange(0.05, 2.01, 0.01)
    )
    assert best < 0.02


def test_noise_has_zero_mean_and_at_most_its_deviation() -> None:
    image = torch.full((100, 100), 0.5)
    deviations = []
    for seed in range(20):
        noise = changed(image, noise=0.1, seed=seed) - image
        assert float(noise.mean()) == pytest.approx(0, abs=0.005)
        deviations.append(float(noise.std()))
    assert 0 <= min(deviations) < 0.03
    assert 0.07 < max(deviations) < 0.103


def test_no_code_flips_images() -> None:
    for file in Path(image_augmentation.__file__).resolve().parent.glob("*.py"):
        assert "flip(" not in file.read_text(encoding="utf-8").lower(), file


def test_half_of_the_images_lose_resolution_on_request() -> None:
    """A reduced image has no detail finer than the reduced one; its size and mean stay."""
    images = square(noise_image(0, 64)).expand(60, 64, 64)
    recipe = AugmentationRecipe.model_validate(NONE | {"reduced_px": 16})
    found = augmented(images, range(60), recipe)
    fine = (found[:, :, 1:] - found[:, :, :-1]).square().mean((1, 2)) / (
        images[0, :, 1:] - images[0, :, :-1]
    ).square().mean()
    unchanged = (found - images).abs().amax((1, 2)) < 1e-5
    assert 20 <= int(unchanged.sum()) <= 40
    assert float(fine[~unchanged].median()) < 0.3
    torch.testing.assert_close(found.mean((1, 2)), images.mean((1, 2)), atol=0.02, rtol=0)


def test_other_changes_are_the_same_with_and_without_a_loss_of_resolution() -> None:
    plain, reduced = (
        draw_change(np.random.default_rng(5), AugmentationRecipe(reduced_px=pixels)) for pixels in (0, 16)
    )
    assert plain == reduced._replace(reduction=0.0, reduced_px=0)
