"""Preprocessing steps of a model: the same pixels in training and in drafting, and their record in the provenance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from report_gen_training.data.image_cache import cache_images
from report_gen_training.data.preparation import image_transform
from report_gen_training.run.events import ignore_progress

from report_gen.drafting import Drafter, DraftRequest, LoadedStudy, StudyPreprocessor
from report_gen.generation import Decoding
from report_gen.imaging import read_study
from report_gen.model import Checkpoint
from report_gen.records import ViewPosition
from tests.builders import tiny_checkpoint, tiny_config, tiny_recipe, write_corner_corpus, write_png
from tests.dicom_files import write_dicom
from tests.image_steps import anatomy, step

STEPS = (step("crop_borders"), step("non_local_means"), step("median"), step("clahe"), step("percentiles"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.zeros((150, 120), dtype=np.uint8)
    pixels[30:, :100] = 255 * anatomy(120, 100)
    return write_png(tmp_path / "chest.png", pixels)


def drafted_square(checkpoint: Checkpoint, path: Path) -> NDArray[np.float32]:
    """Return the square [size,size] in 0..1 that drafting gives the encoder."""
    loaded = StudyPreprocessor(checkpoint).load(DraftRequest(read_study(path)))
    assert isinstance(loaded, LoadedStudy)
    encoder = checkpoint.model.config.encoder
    square: NDArray[np.float32] = (loaded.pixel_values[0, 0] * encoder.std + encoder.mean).numpy()
    return square


def test_training_and_drafting_give_the_model_the_same_pixels(image: Path, tmp_path: Path) -> None:
    """Up to the rounding of the cache to 8 bits."""
    checkpoint = tiny_checkpoint(tiny_config(preprocessing=STEPS))
    drafted = drafted_square(checkpoint, image)
    recipe = tiny_recipe(write_corner_corpus(tmp_path, copies=1))
    model = recipe.model.model_copy(update={"preprocessing": STEPS, "encoder": checkpoint.model.config.encoder})
    transform = image_transform(recipe.model_copy(update={"model": model}))
    cache, _ = cache_images(tmp_path / "cache", [str(image)], transform, on_progress=ignore_progress)
    np.testing.assert_allclose(cache.read(image) / 255, drafted, atol=0.5 / 255 + 1e-6)
    assert np.abs(drafted_square(tiny_checkpoint(), image) - drafted).max() > 0.1


def test_the_steps_are_recorded_with_their_parameters(image: Path) -> None:
    drafter = Drafter.from_checkpoint(
        tiny_checkpoint(tiny_config(preprocessing=[{"name": "median", "size": 5}, {"name": "clahe"}]))
    )
    report = drafter.draft(read_study(image), decoding=Decoding(max_tokens=4))
    assert report.provenance.preprocessing == (
        {"name": "median", "size": 5},
        {"name": "clahe", "tiles": 8, "limit": 2.5, "bins": 1024},
    )


def test_a_model_without_steps_records_none(image: Path) -> None:
    report = Drafter.from_checkpoint(tiny_checkpoint()).draft(read_study(image), decoding=Decoding(max_tokens=4))
    assert report.provenance.preprocessing == ()


def test_a_blank_image_stays_blank_after_all_steps(tmp_path: Path) -> None:
    drafter = Drafter.from_checkpoint(tiny_checkpoint(tiny_config(preprocessing=STEPS)))
    report = drafter.draft(read_study(write_png(tmp_path / "a.png", np.zeros((40, 50), dtype=np.uint8))))
    assert report.sections[0].text == "The image is blank, so no finding can be described."


def test_the_stages_are_those_of_the_images_that_the_model_gets(tmp_path: Path) -> None:
    pixels = (200 * anatomy(60, 50)).astype(np.uint16)
    for number, view in enumerate(("LL", "PA"), start=1):
        write_dicom(tmp_path / f"{number}.dcm", pixels, ViewPosition=view, SOPInstanceUID=f"1.2.{number}")
    config = tiny_config(scope={"views": (ViewPosition.PA.value,)}, preprocessing=(step("median"),))
    (found,) = Drafter.from_checkpoint(tiny_checkpoint(config)).preprocessing_stages(read_study(tmp_path))
    assert [name for name, _ in found.stages] == ["image", "median"]
    assert found.stages[0][1].shape == (60, 50)
