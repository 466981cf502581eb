"""A recipe of three windows: training decodes the slices of a CT as drafting does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from report_gen_training.data.image_augmentation import augment, draw_change
from report_gen_training.data.image_cache import cache_images
from report_gen_training.engine.session import train
from report_gen_training.recipe.schema import AugmentationRecipe, Recipe

from report_gen.config import EncoderConfig, VolumeConfig
from report_gen.drafting import Drafter, DraftRequest
from report_gen.drafting.preprocessing import LoadedStudy, StudyPreprocessor
from report_gen.imaging import read_study
from report_gen.imaging.transform import ImageTransform
from report_gen.model import load_checkpoint
from tests.builders import (
    CORNERS,
    CT_CHANNELS,
    SIZE,
    corner_image,
    three_window_config,
    tiny_checkpoint,
    tiny_recipe,
    write_manifest,
    write_png,
)
from tests.slice_files import write_slices

ENCODER, VOLUMES = CT_CHANNELS["encoder"], CT_CHANNELS["volumes"]
TRANSFORM = ImageTransform.from_config(EncoderConfig(**ENCODER), (), VolumeConfig(**VOLUMES))


def write_slice(folder: Path, place: int) -> Path:
    """Write a slice of noise from -1000 to 1000 HU with a bright corner."""
    corner = corner_image(place).astype(np.int16) * 4
    noise = np.random.default_rng(place).integers(-1000, 100, corner.shape).astype(np.int16)
    files = write_slices(folder, [(0, 0, 0)], shape=corner.shape, spacing=(1, 1), pixels=lambda _: noise + corner)
    (path,) = files.values
    return path


def model_of(data: Path, **changes: Any) -> dict[str, Any]:
    return tiny_recipe(data).model.model_dump(mode="json") | CT_CHANNELS | changes


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = []
    for split in ("train", "val", "test"):
        for place, (findings, impression) in enumerate(CORNERS):
            name = f"{split}-{place}"
            path = write_slice(tmp_path / "images" / name, place).relative_to(tmp_path / "images")
            texts = {"findings": findings, "impression": impression, "indication": "Cough."}
            rows.append({"study_id": name, "images": [str(path)], "split": split, **texts})
    write_manifest(tmp_path / "images", rows)
    return tmp_path


def test_a_recipe_trains_on_three_windows_and_its_checkpoint_drafts_them(corpus: Path) -> None:
    recipe = tiny_recipe(corpus, model=model_of(corpus), stage={"steps": 2, "augment": True})
    folder = train(recipe, corpus / "run", resume=False, on_step=lambda _: None)
    config = load_checkpoint(folder).model.config
    assert config.volumes == recipe.model.volumes
    assert config.encoder == recipe.model.encoder
    report = Drafter.load(folder).draft(read_study(next((corpus / "images" / "test-0").iterdir())))
    assert len(report.provenance.inputs) == 1


def test_training_and_drafting_give_the_encoder_the_same_values(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", 1)
    cache, unreadable = cache_images(tmp_path / "cache", [str(path)], TRANSFORM, on_progress=lambda *_: None)
    assert not unreadable
    drafted = StudyPreprocessor(tiny_checkpoint(three_window_config())).load(DraftRequest(read_study(path)))
    assert isinstance(drafted, LoadedStudy)
    square = torch.from_numpy(cache.read(path).copy()).float() / 255
    assert square.shape == (3, SIZE, SIZE)
    error = (TRANSFORM.normalize(square) - drafted.pixel_values[0]).abs().max()
    assert float(error) <= 0.5 / 255 / 0.224 + 1e-5  # rounding to 8 bits
    torch.testing.assert_close(TRANSFORM.denormalize(TRANSFORM.normalize(square)), square)
    assert (square.max(), square[0].equal(square[1])) == (1, False)


def test_a_file_without_hounsfield_units_is_unreadable(tmp_path: Path) -> None:
    png = write_png(tmp_path / "a.png", corner_image(0))
    files = write_slices(tmp_path / "b", [(0, 0, 0)], modality="MR")
    paths = [str(png), str(next(iter(files.values)))]
    _, unreadable = cache_images(tmp_path / "cache", paths, TRANSFORM, on_progress=lambda *_: None)
    assert [one.path for one in unreadable] == paths
    assert all("is not a single slice of a CT and has no Hounsfield units" in one.reason for one in unreadable)


def test_other_windows_are_not_read_from_the_cache(tmp_path: Path) -> None:
    path = write_slice(tmp_path / "a", 1)
    others = VolumeConfig(windows=("lung", "mediastinum", "spine"))
    transforms = [TRANSFORM, ImageTransform.from_config(EncoderConfig(**ENCODER), (), others)]
    caches = [cache_images(tmp_path / "c", [str(path)], one, on_progress=lambda *_: None)[0] for one in transforms]
    first, second = (cache.read(path) for cache in caches)
    np.testing.assert_array_equal(first[:2], second[:2])
    assert not np.array_equal(first[2], second[2])


def test_the_channels_of_an_image_are_augmented_alike() -> None:
    recipe, random = AugmentationRecipe(), np.random.default_rng(0)
    changes = [draw_change(random, recipe) for _ in range(2)]
    images = torch.rand(2, 3, SIZE, SIZE)
    found = augment(images, changes, recipe)
    for channel in range(3):
        torch.testing.assert_close(found[:, channel], augment(images[:, channel], changes, recipe))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"corpora": [{"name": "images", "path": "images", "mean": 0.5, "std": 0.2}]},
            "'images': mean and std do not suit",
        ),
        ({"recognizer": {"drawn": 4}}, "the recognizer draws images without Hounsfield units"),
    ],
)
def test_a_recipe_that_mixes_windows_with_gray_images_is_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    recipe = tiny_recipe(tmp_path, model=model_of(tmp_path)).model_dump(mode="json")
    with pytest.raises(ValidationError, match=reason):
        Recipe.model_validate(recipe | changes)


def test_a_recipe_of_windows_with_one_channel_is_refused(tmp_path: Path) -> None:
    encoder = ENCODER | {"channels": 1, "mean": 0.5, "std": 0.5}
    with pytest.raises(ValidationError, match=r"encoder\.channels is 1; set encoder\.channels = 3"):
        tiny_recipe(tmp_path, model=model_of(tmp_path, encoder=encoder))
