"""A recipe with an encoder of volumes: each image of the corpus is a file with a whole CT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from report_gen_training.data.image_cache import cache_images
from report_gen_training.engine.model_building import build_model
from report_gen_training.engine.session import train

from report_gen.config import EncoderConfig
from report_gen.drafting import Drafter, DraftRequest
from report_gen.drafting.preprocessing import LoadedStudy, StudyPreprocessor
from report_gen.errors import RecipeError
from report_gen.imaging import read_study
from report_gen.imaging.transform import ImageTransform
from tests.builders import (
    CORNERS,
    VOLUME_MODEL,
    corner_image,
    tiny_checkpoint,
    tiny_recipe,
    volume_config,
    write_manifest,
    write_png,
)

SIZE = VOLUME_MODEL["encoder"]["image_size"]
TRANSFORM = ImageTransform.from_config(EncoderConfig(**VOLUME_MODEL["encoder"]), ())


def write_volume(path: Path, place: int) -> Path:
    """Write a CT of 20 slices of air and tissue with a bright corner."""
    random = np.random.default_rng(place)
    corner = corner_image(place, SIZE).astype(np.float64) * 2
    values = random.normal(0, 30, (20, SIZE, SIZE)) + corner
    values[:, : SIZE // 4] = -1000
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(values.T.astype(np.int16), np.diag([1.0, 1, 2, 1])).to_filename(path)
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = []
    for split in ("train", "val", "test"):
        for place, (findings, impression) in enumerate(CORNERS):
            name = f"{split}-{place}"
            write_volume(tmp_path / "images" / f"{name}.nii.gz", place)
            texts = {"findings": findings, "impression": impression, "indication": "Cough."}
            rows.append({"study_id": name, "images": [f"{name}.nii.gz"], "split": split, **texts})
    write_manifest(tmp_path / "images", rows)
    return tmp_path


@pytest.mark.parametrize("cached", [False, True])
def test_a_recipe_trains_on_volumes_and_its_checkpoint_drafts_them(corpus: Path, cached: bool) -> None:
    model = tiny_recipe(corpus).model.model_dump(mode="json") | VOLUME_MODEL
    rates = {"encoder": 0.0 if cached else 1e-3, "projector": 1e-3, "decoder": 1e-3}
    stage = {"steps": 2, "augment": True, "cached_features": 2 * cached, "rates": rates}
    folder = train(tiny_recipe(corpus, model=model, stage=stage), corpus / "run", resume=False, on_step=lambda _: None)
    report = Drafter.load(folder).draft(read_study(corpus / "images" / "test-0.nii.gz"))
    assert len(report.provenance.inputs) == 20


def test_training_and_drafting_give_the_encoder_the_same_values(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "a.nii.gz", 1)
    cache, unreadable = cache_images(tmp_path / "cache", [str(path)], TRANSFORM, on_progress=lambda *_: None)
    assert not unreadable
    drafted = StudyPreprocessor(tiny_checkpoint(volume_config())).load(DraftRequest(read_study(path)))
    assert isinstance(drafted, LoadedStudy)
    stored = torch.from_numpy(cache.read(path).copy()).float() / 255
    torch.testing.assert_close(TRANSFORM.normalize(stored), drafted.pixel_values[0], atol=0.5 / 255 + 1e-6, rtol=0)


def test_another_number_of_slices_is_not_read_from_the_cache(tmp_path: Path) -> None:
    path = str(write_volume(tmp_path / "a.nii.gz", 1))
    for channels in (TRANSFORM.channels, TRANSFORM.channels + 16):
        transform = replace(TRANSFORM, channels=channels)
        cache, _ = cache_images(tmp_path / "cache", [path], transform, on_progress=lambda *_: None)
        assert cache.read(Path(path)).shape == transform.square_shape


def test_a_file_that_is_no_volume_is_unreadable(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", corner_image(0))
    _, (unreadable,) = cache_images(tmp_path / "cache", [str(path)], TRANSFORM, on_progress=lambda *_: None)
    assert "has no axial CT of 10 slices or more" in unreadable.reason


def test_pretrained_weights_without_their_packages_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("report_gen_training.engine.volume_weights.PACKAGES", ("no_such_package",))
    encoder = VOLUME_MODEL["encoder"] | {"name": "astra_i3resnet152", "channels": 16, "image_size": 32}
    model = tiny_recipe(tmp_path).model.model_dump(mode="json") | VOLUME_MODEL
    recipe = tiny_recipe(tmp_path, model=model | {"encoder": encoder, "encoder_weights": "pretrained"})
    with pytest.raises(RecipeError, match="the package no_such_package with weights of the encoder is not installed"):
        build_model(recipe, 100)
