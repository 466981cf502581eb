"""Boxes follow their image into its square and through its augmentation, and keep their side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from report_gen_training.data.batch_sampler import BatchSampler
from report_gen_training.data.batches import Batch, BatchDataset
from report_gen_training.data.box_geometry import ExampleBox, clip_boxes
from report_gen_training.data.examples import TrainingExample
from report_gen_training.data.feature_cache import FeatureCache, cache_features
from report_gen_training.data.image_augmentation import augment, draw_change, move_boxes
from report_gen_training.data.image_cache import ImageCache, cache_images
from report_gen_training.recipe.schema import AugmentationRecipe, StageRecipe
from report_gen_training.run.events import ignore_progress

from report_gen.config import CropBordersStep
from report_gen.imaging.transform import ImageTransform
from report_gen.labeling import chest_xray
from report_gen.model import ImageEncoder
from report_gen.records import ViewPosition
from tests.builders import store, write_png
from tests.training.data.test_batches import TEXT

SIZE = 96
FINDINGS = chest_xray().findings
EDEMA, HERNIA = FINDINGS.index("Edema"), FINDINGS.index("Hernia")
USUAL = AugmentationRecipe(gamma=1, noise=0, blur=0)
STRONGEST = AugmentationRecipe(degrees=20, shift=0.2, scale=0.3, gamma=1, noise=0, blur=0)
BOXES = ((0.55, 0.2, 0.8, 0.4), (0.15, 0.6, 0.3, 0.9))
"""Left, top, right and bottom edge of two boxes."""


def image_with(box: tuple[float, ...], rows: int = SIZE, columns: int = SIZE) -> NDArray[np.uint8]:
    """Return an image [rows,columns] that is white inside the box and black outside."""
    pixels = np.zeros((rows, columns), dtype=np.uint8)
    left, top, right, bottom = np.round(np.array(box) * [columns, rows, columns, rows]).astype(int)
    pixels[top:bottom, left:right] = 255
    return pixels


def bounds(image: torch.Tensor) -> list[float]:
    """Return the edges of the bright area of a square, in shares of its side."""
    rows, columns = np.nonzero(image.numpy() > 0.5)
    size = image.shape[-1]
    return [columns.min() / size, rows.min() / size, (columns.max() + 1) / size, (rows.max() + 1) / size]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("box", BOXES)
def test_a_box_is_moved_as_its_image_is(seed: int, box: tuple[float, ...]) -> None:
    change = draw_change(np.random.default_rng(seed), STRONGEST)
    square = torch.from_numpy(image_with(box)).float() / 255
    moved = clip_boxes(move_boxes(np.array([box], dtype=np.float32), change))[0]
    np.testing.assert_allclose(moved, bounds(augment(square[None], [change], STRONGEST)[0]), atol=2.5 / SIZE)


def test_a_box_that_leaves_the_image_is_dropped() -> None:
    boxes = np.array([[-0.2, 0.1, 0.1, 0.3], [1.0, 0.1, 1.2, 0.3], [0.1, -0.3, 0.2, -0.1]], dtype=np.float32)
    clipped = clip_boxes(boxes)
    np.testing.assert_allclose(clipped[0], [0.0, 0.1, 0.1, 0.3])
    assert np.isnan(clipped[1:]).all()


def example(path: Path, *boxes: ExampleBox, views: int = 1) -> TrainingExample:
    positions = (ViewPosition.PA, ViewPosition.LATERAL)[:views]
    return replace(TEXT, images=(path,) * views, views=positions, boxes=boxes)


def make(folder: Path, transform: ImageTransform, *examples: TrainingExample, **parts: Any) -> Batch:
    """Return the validation batch of examples, or the first training batch."""
    values: dict[str, Any] = {"name": "s", "corpora": ("c",), "steps": 1, "rates": {}, "batch_size": len(examples)}
    stage, groups = StageRecipe.model_validate(values), [store(*examples)]
    parts = {"images": images_of(folder, transform, *examples), "augmentation": STRONGEST, "training": False} | parts
    dataset = BatchDataset(groups, stage, transform, **parts)
    if parts["training"]:
        sampler = BatchSampler(groups, stage, (0, 0), schema=chest_xray(), steps=range(1))
        return next(dataset.training_batches(sampler, 0))
    return next(dataset.validation_batches(batch_size=len(examples)))


def images_of(folder: Path, transform: ImageTransform, *examples: TrainingExample) -> ImageCache:
    paths = [str(path) for one in examples for path in one.images]
    return cache_images(folder / "cache", paths, transform, on_progress=ignore_progress)[0]


TRANSFORM = ImageTransform(size=SIZE, channels=1, mean=0.0, std=1.0)


@pytest.mark.parametrize(("rows", "columns"), [(60, 120), (120, 60), (200, 200)])
@pytest.mark.parametrize("framed", [False, True])
def test_boxes_of_a_file_become_boxes_of_the_square(tmp_path: Path, rows: int, columns: int, framed: bool) -> None:
    """Also where the square has black bars, and where a border is cropped before."""
    box = BOXES[0]
    pixels = image_with(box, rows, columns)
    if framed:
        pixels = np.maximum(pixels, 60)
        framed_pixels = np.zeros((rows + 20, columns + 40), dtype=np.uint8)
        framed_pixels[5 : 5 + rows, 30 : 30 + columns] = pixels
        offsets = np.array([30, 5, 30, 5])
        sizes = np.array([columns, rows, columns, rows])
        box = tuple((np.array(box) * sizes + offsets) / np.array([columns + 40, rows + 20] * 2))
        pixels = framed_pixels
    steps = (CropBordersStep(name="crop_borders"),) if framed else ()
    transform = replace(TRANSFORM, steps=steps)
    path = write_png(tmp_path / "a.png", pixels)
    found = make(tmp_path, transform, example(path, ExampleBox(EDEMA, 0, *box)))
    assert found.boxes.shape == (1, 1, 17, 1, 4)
    np.testing.assert_allclose(found.boxes[0, 0, EDEMA, 0], bounds(found.pixel_values[0, 0, 0]), atol=2 / SIZE)
    assert found.boxes[0, 0, :EDEMA].isnan().all()


def test_boxes_are_padded_by_view_finding_and_number(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", image_with(BOXES[0]))
    several = example(
        path,
        ExampleBox(EDEMA, 1, *BOXES[0]),
        ExampleBox(EDEMA, 1, *BOXES[1]),
        ExampleBox(HERNIA, 0, *BOXES[1]),
        views=2,
    )
    boxes = make(tmp_path, TRANSFORM, example(path), several).boxes
    assert boxes.shape == (2, 2, 17, 2, 4)
    assert boxes[0].isnan().all()
    np.testing.assert_allclose(boxes[1, 1, EDEMA], BOXES, atol=1e-6)
    np.testing.assert_allclose(boxes[1, 0, HERNIA, 0], BOXES[1], atol=1e-6)
    assert int((~boxes.isnan()).sum()) == 3 * 4


def test_without_boxes_or_images_the_tensor_is_empty(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", image_with(BOXES[0]))
    assert make(tmp_path, TRANSFORM, example(path)).boxes.shape == (1, 1, 17, 0, 4)
    assert make(tmp_path, TRANSFORM, TEXT).boxes.shape == (1, 0, 17, 0, 4)


def test_boxes_follow_the_augmentation_of_a_batch(tmp_path: Path) -> None:
    paths = [write_png(tmp_path / f"{number}.png", image_with(BOXES[number % 2])) for number in range(8)]
    examples = [example(path, ExampleBox(EDEMA, 0, *BOXES[number % 2])) for number, path in enumerate(paths)]
    batch = make(tmp_path, TRANSFORM, *examples, training=True, augmentation=USUAL)
    original = np.array(BOXES)
    for row in range(8):
        found = batch.boxes[row, 0, EDEMA, 0].numpy()
        np.testing.assert_allclose(found, bounds(batch.pixel_values[row, 0, 0]), atol=2.5 / SIZE)
        assert np.abs(original - found).max(axis=1).min() > 0.01  # the image was moved


def test_boxes_follow_the_variant_of_cached_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of an encoder that passes the pixels on show where each variant has its box."""
    path = write_png(tmp_path / "a.png", image_with(BOXES[0]))
    one = example(path, ExampleBox(EDEMA, 0, *BOXES[0]))
    encoder = ImageEncoder(name="test_vit", arguments={"img_size": SIZE}, image_size=SIZE, channels=1)
    monkeypatch.setattr(encoder, "forward", lambda pixels: pixels.flatten(1)[:, :, None])
    encoder.grid, encoder.width = SIZE, 1
    images = images_of(tmp_path, TRANSFORM, one)
    features: FeatureCache = cache_features(
        tmp_path / "cache",
        encoder,
        {str(path): 4},
        images,
        TRANSFORM,
        STRONGEST,
        seed=0,
        bf16=False,
        on_progress=ignore_progress,
    )
    batch = make(tmp_path, TRANSFORM, *[one] * 12, training=True, features=features, images=images)
    found = {tuple(boxes.tolist()) for boxes in batch.boxes[:, 0, EDEMA, 0]}
    assert len(found) > 2
    for row in range(12):
        square = batch.patch_features[row, 0, :, 0].float().reshape(SIZE, SIZE)
        np.testing.assert_allclose(batch.boxes[row, 0, EDEMA, 0], bounds(square), atol=2.5 / SIZE)
