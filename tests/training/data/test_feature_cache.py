"""Cached patch features equal the encoder's output, and are computed once."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from report_gen_training.data import feature_cache
from report_gen_training.data.batch_sampler import BatchSampler
from report_gen_training.data.batches import BatchDataset
from report_gen_training.data.feature_cache import FeatureCache, cache_features
from report_gen_training.data.image_cache import ImageCache, cache_images
from report_gen_training.recipe.schema import AugmentationRecipe, StageRecipe
from report_gen_training.run.events import ignore_progress

from report_gen.errors import OutputError
from report_gen.imaging.transform import ImageTransform
from report_gen.labeling import chest_xray
from report_gen.model import ImageEncoder
from tests.builders import SIZE, noise_image, store, write_png
from tests.training.data.test_batches import TEXT, with_images

TRANSFORM = ImageTransform(size=SIZE, channels=1, mean=0.5, std=0.5)


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(name="test_vit", arguments={"img_size": SIZE}, image_size=SIZE, channels=1).train()


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return [write_png(tmp_path / "images" / f"{seed}.png", noise_image(seed)) for seed in range(5)]


def image_cache(folder: Path, images: list[Path]) -> ImageCache:
    return cache_images(folder / "cache", map(str, images), TRANSFORM, on_progress=ignore_progress)[0]


def fill(folder: Path, encoder: ImageEncoder, variants: Mapping[Path, int], **changes: Any) -> FeatureCache:
    values: dict[str, Any] = {"seed": 0, "bf16": False, "on_progress": ignore_progress}
    return cache_features(
        folder / "cache",
        encoder,
        {str(path): count for path, count in variants.items()},
        image_cache(folder, list(variants)),
        TRANSFORM,
        AugmentationRecipe(),
        **values | changes,
    )


def read(cache: FeatureCache, image: Path, random: np.random.Generator | None = None) -> torch.Tensor:
    return cache.read(image, random).patch_features


def encode_images(encoder: ImageEncoder, image: Path, folder: Path) -> torch.Tensor:
    square = torch.from_numpy(image_cache(folder, [image]).read(image).copy()).float() / 255
    was_training = encoder.training
    with torch.no_grad():
        features: torch.Tensor = encoder.eval()(TRANSFORM.normalize(square[None]))[0]
    encoder.train(was_training)
    return features


def test_the_first_variant_is_the_encoding_of_the_image_without_augmentation(
    tmp_path: Path, encoder: ImageEncoder, images: list[Path]
) -> None:
    cache = fill(tmp_path, encoder, dict.fromkeys(images, 2))
    for image in images:
        assert read(cache, image).dtype == torch.float16
        torch.testing.assert_close(
            read(cache, image).float(),
            encode_images(encoder, image, tmp_path),
            atol=2e-3,
            rtol=1e-3,
        )
    assert encoder.training  # its mode is unchanged


def test_other_variants_are_encodings_of_augmented_images(
    tmp_path: Path, encoder: ImageEncoder, images: list[Path]
) -> None:
    cache = fill(tmp_path, encoder, dict.fromkeys(images, 3))
    drawn = {tuple(read(cache, images[0], np.random.default_rng(seed)).flatten().tolist()) for seed in range(30)}
    assert len(drawn) == 3
    assert tuple(read(cache, images[0]).flatten().tolist()) in drawn


def test_nothing_is_computed_twice(
    tmp_path: Path, encoder: ImageEncoder, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fill(tmp_path, encoder, dict.fromkeys(images, 2))
    monkeypatch.setattr(feature_cache, "_encode", lambda *_: pytest.fail("the encoder ran again"))
    again = fill(tmp_path, encoder, dict.fromkeys(images, 2))
    for image in images:
        assert torch.equal(
            read(first, image, np.random.default_rng(1)),
            read(again, image, np.random.default_rng(1)),
        )


@pytest.mark.parametrize("change", ["weights", "seed", "bf16"])
def test_features_of_other_weights_or_settings_are_kept_apart(
    tmp_path: Path, encoder: ImageEncoder, images: list[Path], change: str
) -> None:
    fill(tmp_path, encoder, dict.fromkeys(images, 2))
    other = ImageEncoder(name="test_vit", arguments={"img_size": SIZE}, image_size=SIZE, channels=1)
    other.load_state_dict(encoder.state_dict())
    if change == "weights":
        with torch.no_grad():
            next(other.parameters()).add_(0.1)
    fill(tmp_path, other, dict.fromkeys(images, 2), seed=int(change == "seed"), bf16=change == "bf16")
    assert len(list((tmp_path / "cache").glob("features-*"))) == 2


def test_processes_share_the_work_and_see_all_of_it(tmp_path: Path, encoder: ImageEncoder, images: list[Path]) -> None:
    together = Barrier(2)
    totals: list[int] = []

    def share(rank: int) -> FeatureCache:
        def record(_task: str, _done: int, total: int) -> None:
            totals.append(total)

        own = deepcopy(encoder)
        wanted = dict.fromkeys(images, 2)
        return fill(tmp_path, own, wanted, rank=rank, processes=2, wait=together.wait, on_progress=record)

    with ThreadPoolExecutor(2) as threads:
        caches = list(threads.map(share, range(2)))
    assert totals == [10, 10]  # one batch each
    for cache in caches:
        for image in images:
            torch.testing.assert_close(
                read(cache, image).float(),
                encode_images(encoder, image, tmp_path),
                atol=2e-3,
                rtol=1e-3,
            )


def test_a_disk_too_small_is_reported_before_the_work(
    tmp_path: Path, encoder: ImageEncoder, images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OutputError, match=r"patch features of 10 images take 0\.0 GB.*lower cached_features"):
        fill(tmp_path, encoder, dict.fromkeys(images, 2))


def test_features_beyond_float16_are_clamped(tmp_path: Path, encoder: ImageEncoder, images: list[Path]) -> None:
    large = ImageEncoder(name="test_vit", arguments={"img_size": SIZE}, image_size=SIZE, channels=1)
    with torch.no_grad():
        for parameter in large.backbone.norm.parameters():
            parameter.fill_(1e6)
    cache = fill(tmp_path, large, {images[0]: 1})
    assert bool(read(cache, images[0]).isfinite().all())


def test_a_batch_has_features_instead_of_pixels(tmp_path: Path, encoder: ImageEncoder) -> None:
    examples = [with_images(tmp_path / "images", 0), with_images(tmp_path / "images", 1, 2)]
    images = [path for example in examples for path in example.images]
    features = fill(tmp_path, encoder, dict.fromkeys(images, 2))
    stage = StageRecipe.model_validate({"name": "s", "corpora": ("c",), "steps": 1, "batch_size": 2, "rates": {}})
    parts: dict[str, Any] = {"images": image_cache(tmp_path, images), "augmentation": AugmentationRecipe()}
    dataset = BatchDataset([store(*examples)], stage, TRANSFORM, **parts, features=features, training=False)
    (batch,) = dataset.validation_batches(batch_size=2)
    assert batch.pixel_values.shape == (2, 0, 1, SIZE, SIZE)
    assert batch.view_mask.tolist() == [[True, False], [True, True]]
    assert torch.equal(batch.patch_features[1, 1], read(features, images[2]))
    assert not batch.patch_features[0, 1].any()
    training = BatchDataset([store(*examples)], stage, TRANSFORM, **parts, features=features, training=True)
    sampler = BatchSampler([store(*examples)], stage, (0, 0), schema=chest_xray(), steps=range(20))
    drawn = {tuple(made.patch_features.flatten().tolist()) for made in training.training_batches(sampler, 0)}
    assert len(drawn) > 4


def test_reports_without_images_need_no_features(tmp_path: Path, encoder: ImageEncoder, images: list[Path]) -> None:
    features = fill(tmp_path, encoder, {images[0]: 1})
    stage = StageRecipe.model_validate({"name": "s", "corpora": ("c",), "steps": 1, "rates": {}})
    parts: dict[str, Any] = {"images": image_cache(tmp_path, images), "augmentation": AugmentationRecipe()}
    dataset = BatchDataset([store(TEXT)], stage, TRANSFORM, **parts, features=features, training=True)
    (batch,) = dataset.validation_batches(1)
    assert (batch.pixel_values.shape[1], batch.patch_features.shape[1], batch.view_mask.shape[1]) == (0, 0, 0)
